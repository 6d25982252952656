"""Barlow Twins: the columns of two views agree with their own twin and with no other.

With C the correlations, over the batch, of the columns of view a with those of view b::

    C_ij = sum_b za_bi zb_bj / (|za_i| |zb_j|)          columns centred
    l = scale (sum_i (1 - C_ii)^2 + off_diagonal sum_{i != j} C_ij^2)

(Zbontar et al., Barlow Twins: Self-supervised learning via redundancy reduction, ICML 2021, Eq. 1
and 2; scale is 1 there.) Of a batch spread over ranks the columns are those of all ranks.

Differs from the released code, which centres and scales by batch normalisation: that adds 1e-5 to
each variance; here a correlation is one, and that of a constant column is 0.

Paper: https://arxiv.org/abs/2103.03230
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.columns import beside_diagonal, centred_columns, unit_columns
from common.losses.loss import Loss

__all__ = ["BarlowTwins", "barlow_twins"]


def barlow_twins(z: Tensor, *, off_diagonal: float, scale: float = 1.0) -> Tensor:
    """Compute the loss of Barlow Twins.

    Args:
        z: (B, 2, D), not normalised, B >= 2 subjects over all ranks, any floating type.
        off_diagonal: weight of the correlations of different columns, at least 0.
        scale: of the whole loss.

    Returns:
        Scalar, a sum over the D^2 correlations, float32 or wider; the same on every rank.

    >>> z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> float(barlow_twins(torch.stack([z, z.flip(1)], dim=1), off_diagonal=0.5))
    3.0
    """
    with torch.autocast(z.device.type, enabled=False):
        first, second = unit_columns(centred_columns("BarlowTwins", z))
        correlation = first @ second.T
        same = (1 - correlation.diagonal()).square().sum()
        loss: Tensor = scale * (same + off_diagonal * beside_diagonal(correlation))
        return loss


class BarlowTwins(Loss):
    """Redundancy reduction between two views; see `barlow_twins`."""

    def __init__(self, off_diagonal: float = 0.005, scale: float = 1.0) -> None:
        super().__init__(off_diagonal=off_diagonal, scale=scale)
        require(
            0 <= off_diagonal < float("inf") and 0 < scale < float("inf"),
            "BarlowTwins: off_diagonal must be at least 0 and scale positive, got "
            f"{off_diagonal} and {scale}.",
        )

    def forward(self, z: Tensor) -> Tensor:
        """Compute the loss of z (B, 2, D)."""
        return barlow_twins(z, **self.settings)
