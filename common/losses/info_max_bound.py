"""The Jensen lower bound of I(X; Z) for a stochastic augmentation channel (CRL-TAC).

An image k of K has V transformed versions j with weights w_jk (summing to 1 over j), h_jk the unit
vector of each and s the dot product times beta. Eq. 2 of "Contrastive representation learning with
trainable augmentation channel", through Jensen's inequality (its Eq. 16), with every expectation
over transformations replaced by the weights::

    bound = 1/K sum_k sum_j w_jk (A_jk - log D_jk)
    A_jk = sum_j'    w_j'k   s(jk, j'k)         / sum_j'    w_j'k
    D_jk = sum_j''k'' w_j''k'' e^{s(jk, j''k'')} / sum_j''k'' w_j''k''

j' runs over the other versions of image k, (j'', k'') over all versions but (j, k). The loss is
minus the bound. With equal weights it is SupCon over the images as classes at temperature 1/beta,
minus ``log(V K - 1)``; with V = 2 it is SimCLR's loss up to that constant, as the paper says.

`InfoMax` is Eq. 2 itself, estimated from the same versions: the logarithm of the weighted mean of
e^s in the place of A_jk, the weighted mean of s. It is never below the bound; of one other version
(V = 2) the two are equal.

Differs from the paper: its Eq. 20 keeps (j, k) itself in the denominator, which its remark on
SimCLR contradicts; the weighted form is ours, the paper says only "evaluate (2) with P weights".

Paper: https://arxiv.org/abs/2111.07679
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, rank, world_size
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion, other_subjects
from common.losses.rows import scaled_rows

__all__ = ["InfoMax", "InfoMaxBound", "info_max", "info_max_bound"]

_LARGEST_BETA = 500.0
_ROUNDING = 1e-3  # by which a sum of weights in half precision may miss 1


def info_max_bound(z: Tensor, *, beta: float, weight: Tensor | None = None) -> Tensor:
    """Compute minus the bound.

    Args:
        z: (B, V, D), V >= 2 versions of B >= 2 images (counted over all ranks), floating.
        beta: inverse temperature, above 0 and at most 500; the paper's is 0.5, on MNIST 1.
        weight: (B, V), not negative, 1 in sum over V; None for 1/V each. Differentiable: the
            gradient reaches whoever made the weights.

    Returns:
        Scalar, mean over this rank's images, float32 or wider.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all dot products 0: nothing is told apart
    >>> abs(float(info_max_bound(z, beta=0.5)))
    0.0
    """
    return _loss(z, beta, weight, _agreement)


def info_max(z: Tensor, *, beta: float, weight: Tensor | None = None) -> Tensor:
    """Compute minus the estimate of Eq. 2 itself; arguments as of `info_max_bound`.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all dot products 0: nothing is told apart
    >>> abs(float(info_max(z, beta=0.5)))
    0.0
    """
    return _loss(z, beta, weight, _exact_agreement)


def _loss(
    z: Tensor, beta: float, weight: Tensor | None, agree: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    _check(z, beta)
    images, versions = z.shape[:2]
    with torch.autocast(z.device.type, enabled=False):
        rows = scaled_rows(z, 1 / beta)
        if weight is None:
            weight = rows.new_full((images, versions), 1 / versions)
        else:
            _check_weight(weight, z)
            weight = weight.to(rows.dtype)
        log_weight = weight.clamp_min(torch.finfo(rows.dtype).tiny).log()
        agreement = agree(rows, log_weight)
        # log w joins the rows as one more column, where the core of all losses differentiates it
        anchors = torch.cat([rows, torch.ones_like(log_weight)[..., None]], dim=-1).flatten(0, 1)
        bank = gather(torch.cat([rows, log_weight[..., None]], dim=-1).flatten(0, 1))
        others = other_subjects(1, rank() * len(anchors), z.device)
        total = log_repulsion(anchors, bank, others, symmetric=False).view_as(weight)
        confusion = total - torch.log(images * world_size() - weight)
        bound = (weight * (agreement - confusion)).sum(dim=1).mean()
        return -bound.to(torch.promote_types(z.dtype, torch.float32))


def _agreement(rows: Tensor, log_weight: Tensor) -> Tensor:
    """Weighted mean of s over the other versions of the same image, ``(B, V)``."""
    share = _of_others(log_weight).softmax(dim=2)
    return (share * torch.bmm(rows, rows.transpose(1, 2))).sum(dim=2)


def _exact_agreement(rows: Tensor, log_weight: Tensor) -> Tensor:
    """Logarithm of the weighted mean of e^s over the other versions, ``(B, V)``."""
    share = _of_others(log_weight).log_softmax(dim=2)
    return (share + torch.bmm(rows, rows.transpose(1, 2))).logsumexp(dim=2)


def _of_others(log_weight: Tensor) -> Tensor:
    """Log weights of an image's versions, ``(B, V, V)``, -inf for a version itself."""
    itself = torch.eye(log_weight.shape[1], dtype=torch.bool, device=log_weight.device)
    return log_weight[:, None, :].masked_fill(itself, -math.inf)


def _check(z: Tensor, beta: float) -> None:
    require(
        0 < beta <= _LARGEST_BETA,
        f"InfoMaxBound: beta must be above 0 and at most {_LARGEST_BETA:.0f}, got {beta}.",
    )
    require(
        z.dim() == 3 and z.shape[1] >= 2 and z.is_floating_point(),
        f"InfoMaxBound: z must be floating (B, V >= 2, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        len(z) * world_size() >= 2,
        f"InfoMaxBound: z must hold at least 2 images, got {len(z)}. Use a larger batch.",
    )


def _check_weight(weight: Tensor, z: Tensor) -> None:
    require(
        weight.shape == z.shape[:2] and weight.is_floating_point(),
        f"InfoMaxBound: weight must be floating {tuple(z.shape[:2])}, got {weight.dtype} "
        f"{tuple(weight.shape)}.",
    )
    with torch.no_grad():
        error = float((weight.double().sum(dim=1) - 1).abs().max())
        lowest = float(weight.min())
    require(
        lowest >= 0 and error <= _ROUNDING,
        f"InfoMaxBound: weight must be at least 0 with a sum of 1 for each image, got a least "
        f"weight of {lowest:.3g} and a sum {error:.3g} away from 1. Divide by the sum.",
    )


class InfoMaxBound(Loss):
    """Minus the lower bound of CRL-TAC; see `info_max_bound`."""

    def __init__(self, beta: float = 0.5) -> None:
        super().__init__(beta=beta)
        require(
            0 < beta <= _LARGEST_BETA,
            f"InfoMaxBound: beta must be above 0 and at most {_LARGEST_BETA:.0f}, got {beta}.",
        )

    def forward(self, z: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of z (B, V, D) with weights (B, V)."""
        return info_max_bound(z, weight=weight, **self.settings)


class InfoMax(InfoMaxBound):
    """Minus the objective of CRL-TAC itself, Eq. 2; see `info_max`."""

    def forward(self, z: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss of z (B, V, D) with weights (B, V)."""
        return info_max(z, weight=weight, **self.settings)
