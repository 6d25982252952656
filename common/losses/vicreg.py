"""VICReg and VIbCReg: views agree, each column varies, and no two columns say the same.

With Za and Zb the two views (N subjects of all ranks, D columns)::

    s = mean over subjects and columns of (za - zb)^2
    v(Z) = 1/D sum_j max(0, 1 - sqrt(Var(z_j) + 1e-4))
    c(Z) = 1/D sum_{i != j} Cov(z_i, z_j)^2
    l = invariance s + variance (v(Za) + v(Zb)) + covariance (c(Za) + c(Zb))

with N - 1 in variances and covariances (Bardes et al., VICReg, ICLR 2022, Eq. 1 to 6 and Algorithm
1). VIbCReg has correlations in place of the covariances, and the mean over all D^2 entries::

    c(Z) = 1/D^2 sum_{i != j} Cor(z_i, z_j)^2

(Lee and Aune, VIbCReg: Variance-Invariance-better-Covariance regularization, 2021; its projector
ends in an iterative normalisation, `common.networks.IterNorm`).

Differs from the paper: its Eq. 5 prints the squared distance of two views, summed over columns,
Algorithm 1 the mean over them; the coefficients it gives belong to the mean, which is taken.
Differs from the released code of VICReg, which halves the sum of the two v, and leaves that of the
two c: the paper halves neither, and nor does solo-learn, whose two losses these are.

Papers: https://arxiv.org/abs/2105.04906, https://arxiv.org/abs/2109.00783
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.columns import beside_diagonal, centred_columns, unit_columns
from common.losses.loss import Loss

__all__ = ["VICReg", "VIbCReg", "vibcreg", "vicreg"]

_FLOOR = 1e-4


def vicreg(z: Tensor, *, invariance: float, variance: float, covariance: float) -> Tensor:
    """Compute the loss of VICReg.

    Args:
        z: (B, 2, D), not normalised, B >= 2 subjects over all ranks, any floating type.
        invariance: weight of the squared difference of the views.
        variance: weight of the missing standard deviation.
        covariance: weight of the squared covariances.

    Returns:
        Scalar, float32 or wider; the first term of this rank's subjects, the others of all.

    >>> z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # Var 2, Cov 2
    >>> float(vicreg(torch.stack([z, z], dim=1), invariance=1, variance=1, covariance=1))
    8.0
    """
    with torch.autocast(z.device.type, enabled=False):
        columns = centred_columns("VICReg", z)
        matrices = columns @ columns.mT / (columns.shape[2] - 1)
        apart = beside_diagonal(matrices).sum() / columns.shape[1]
        return _agreement(z, columns, invariance, variance) + covariance * apart


def vibcreg(z: Tensor, *, invariance: float, variance: float, covariance: float) -> Tensor:
    """Compute the loss of VIbCReg; see `vicreg` for the arguments.

    >>> z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # all four correlations of each view 1
    >>> round(float(vibcreg(torch.stack([z, z], dim=1), invariance=1, variance=1, covariance=1)), 4)
    1.0
    """
    with torch.autocast(z.device.type, enabled=False):
        columns = centred_columns("VIbCReg", z)
        units = unit_columns(columns)
        apart = beside_diagonal(units @ units.mT).sum() / columns.shape[1] ** 2
        return _agreement(z, columns, invariance, variance) + covariance * apart


def _agreement(z: Tensor, columns: Tensor, invariance: float, variance: float) -> Tensor:
    """The two terms that both losses share."""
    wide = z.to(columns.dtype)
    # this rank's subjects: the mean over ranks of this is the mean over all subjects
    difference = (wide[:, 0] - wide[:, 1]).square().mean()
    spread = columns.square().sum(dim=2) / (columns.shape[2] - 1)  # (2, D)
    missing = torch.relu(1 - (spread + _FLOOR).sqrt()).mean(dim=1).sum()
    return invariance * difference + variance * missing


class VICReg(Loss):
    """Variance, invariance and covariance of two views; see `vicreg`."""

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
    ) -> None:
        super().__init__(invariance=invariance, variance=variance, covariance=covariance)
        _check_weights("VICReg", invariance, variance, covariance)

    def forward(self, z: Tensor) -> Tensor:
        """Compute the loss of z (B, 2, D)."""
        return vicreg(z, **self.settings)


class VIbCReg(Loss):
    """Variance, invariance and correlation of two views; see `vibcreg`."""

    def __init__(
        self, invariance: float = 25.0, variance: float = 25.0, covariance: float = 200.0
    ) -> None:
        super().__init__(invariance=invariance, variance=variance, covariance=covariance)
        _check_weights("VIbCReg", invariance, variance, covariance)

    def forward(self, z: Tensor) -> Tensor:
        """Compute the loss of z (B, 2, D)."""
        return vibcreg(z, **self.settings)


def _check_weights(name: str, *weights: float) -> None:
    require(
        all(0 <= weight < float("inf") for weight in weights),
        f"{name}: invariance, variance and covariance must be at least 0, got {weights}.",
    )
