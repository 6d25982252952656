"""The columns of two views over the whole batch: what decorrelating losses compare.

``z (B, 2, D)`` is read as it is, not normalised: a column is what one dimension says of every
subject, of all ranks.
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, world_size
from common.losses.rows import scaled_rows

__all__ = ["beside_diagonal", "centred_columns", "unit_columns"]

_ROUNDING = 8  # units in the last place by which the values of a constant column may differ


def centred_columns(name: str, z: Tensor) -> Tensor:
    """Gather the subjects of all ranks and take the mean of each column away.

    A column whose values differ by rounding alone is constant: its centred values are 0, with no
    gradient.

    Args:
        name: the loss, for the message.
        z: (B, 2, D), at least 2 subjects over all ranks, any floating type.

    Returns:
        (2, D, N) of N subjects, float32 or wider.
    """
    require(
        z.dim() == 3 and z.shape[1] == 2 and z.shape[2] >= 1 and z.is_floating_point(),
        f"{name}: z must be floating (B, 2, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        len(z) * world_size() >= 2,
        f"{name}: z must hold at least 2 subjects, got {len(z)}. Use a larger batch.",
    )
    columns = gather(z.to(torch.promote_types(z.dtype, torch.float32))).permute(1, 2, 0)
    centred = columns - columns.mean(dim=2, keepdim=True)
    rounding = _ROUNDING * torch.finfo(columns.dtype).eps * columns.detach().abs()
    constant = centred.detach().abs().amax(2, True) <= rounding.amax(2, True)
    return centred.masked_fill(constant, 0)


def unit_columns(columns: Tensor) -> Tensor:
    """Scale centred columns (..., D, N) to length 1; their products are correlations.

    A constant column has no direction: its correlations are 0.
    """
    return scaled_rows(columns, 1.0)


def beside_diagonal(matrix: Tensor) -> Tensor:
    """Return the sum of squares beside the diagonal of (..., D, D) matrices, (...)."""
    return matrix.square().sum(dim=(-2, -1)) - matrix.diagonal(dim1=-2, dim2=-1).square().sum(-1)
