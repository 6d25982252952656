"""What contrastive losses share: the log of a weighted sum of exponentials, tile by tile.

Every loss here holds, for each anchor i, a term ``log sum_j w_ij e^{s_ij}`` over a bank of rows,
with ``s_ij`` the cosine over the temperature and ``w_ij`` a pair's repulsion (0 = not repelled:
itself, its positives). A large n x m matrix of s is never stored: a tile of it lives at a time, in
the forward pass and again in the backward pass, so memory is linear in the batch. When the bank is
the anchors themselves, s is symmetric and only the tiles on and above the diagonal are computed.
A matrix no larger than one tile is computed at once, by plain operations: that is faster there.

No running maximum is needed, hence one exponential per pair and no loss of precision: a cosine
over a temperature lies in [-1/T, 1/T], so ``e^s`` neither overflows nor vanishes in float32 for
T >= 1/60, nor in float64 for T >= 1/500; `scaled_rows` picks the type.

Reference: the recomputation in the backward pass is that of Dao et al., FlashAttention (2022).
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.checks import require

__all__ = ["PairWeight", "check_temperature", "log_repulsion", "other_subjects", "scaled_rows"]

#: (rows, columns) of the matrix of pairs -> their weights, (rows, columns) shaped, or None for 1
PairWeight = Callable[[slice, slice], Tensor | None]

_LOWEST_TEMPERATURE = 1 / 500
_LOWEST_IN_FLOAT32 = 1 / 60
_TILE = {"cpu": 512}  # side of a tile; 256 to 1024 are within 10 % of each other
_TILE_ON_ACCELERATOR = 4096


def check_temperature(name: str, temperature: float) -> None:
    """Raise `InputError` unless `temperature` is one whose exponentials can be represented.

    Args:
        name: the loss, for the message.
        temperature: divides the cosines.
    """
    require(
        _LOWEST_TEMPERATURE <= temperature < float("inf"),
        f"{name}: temperature must be at least {_LOWEST_TEMPERATURE}, got {temperature}.",
    )


def scaled_rows(z: Tensor, temperature: float) -> Tensor:
    """Rescale rows so that their dot products are cosines over the temperature.

    A row of zeros has no direction: it stays zero (cosine 0 to all) and receives no gradient.

    Args:
        z: (..., D), any floating type.
        temperature: see `check_temperature`.

    Returns:
        (..., D) of length 1/sqrt(temperature), in float32, or float64 if z is or if the
        temperature needs it.
    """
    wide = z.double() if temperature < _LOWEST_IN_FLOAT32 or z.dtype == torch.double else z.float()
    length: Tensor = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    unit = wide / length.where(length > 0, float("inf"))
    return unit * float(temperature**-0.5)


def other_subjects(views: int, first_row: int, device: torch.device) -> PairWeight:
    """Weight 1 between rows of different subjects, 0 between views of the same subject.

    Args:
        views: consecutive rows of one subject, among the anchors and in the bank.
        first_row: position in the bank of the first anchor (ranks before this one fill it).
        device: where the weights are made.

    Returns:
        The weights of a tile; None away from the diagonal, where all are 1.
    """

    def weight(rows: slice, columns: slice) -> Tensor | None:
        start, stop = first_row + rows.start, first_row + rows.stop
        if start // views > (columns.stop - 1) // views:
            return None
        if columns.start // views > (stop - 1) // views:
            return None
        anchor = torch.arange(start, stop, device=device) // views
        other = torch.arange(columns.start, columns.stop, device=device) // views
        return anchor[:, None] != other

    return weight


def log_repulsion(anchors: Tensor, bank: Tensor, weight: PairWeight) -> Tensor:
    """Compute ``log sum_j w_ij e^{<anchor_i, bank_j>}`` for every anchor, differentiably.

    Args:
        anchors: (n, D) from `scaled_rows`.
        bank: (m, D) likewise. Passing the very tensor `anchors` says that pairs are symmetric,
            which then must hold for `weight` too, and halves the work.
        weight: repulsion of the pairs, not negative, at least one above 0 for each anchor.

    Returns:
        (n,), same type and device. Differentiable once.
    """
    tile = _TILE.get(anchors.device.type, _TILE_ON_ACCELERATOR)
    if len(anchors) * len(bank) <= tile**2:
        return _at_once(anchors, bank, weight)
    return _in_tiles(anchors, bank, weight, tile)


def _at_once(anchors: Tensor, bank: Tensor, weight: PairWeight) -> Tensor:
    exponentials = torch.mm(anchors, bank.T).exp()
    weights = weight(slice(0, len(anchors)), slice(0, len(bank)))
    if weights is not None:
        exponentials = exponentials * weights
    return exponentials.sum(dim=1).log()


def _in_tiles(anchors: Tensor, bank: Tensor, weight: PairWeight, tile: int) -> Tensor:
    result: Tensor = _LogRepulsion.apply(  # type: ignore[no-untyped-call]
        anchors, bank, bank is anchors, weight, tile
    )
    return result


class _LogRepulsion(torch.autograd.Function):
    """`log_repulsion`; the sums are kept for the backward pass, the tiles are not."""

    @staticmethod
    def forward(
        ctx: Any, anchors: Tensor, bank: Tensor, symmetric: bool, weight: PairWeight, tile: int
    ) -> Tensor:
        total = anchors.new_zeros(len(anchors))
        for rows, columns in _tiles(len(anchors), len(bank), symmetric, tile):
            exponentials = _exponentials(anchors, bank, weight, rows, columns)
            total[rows] += exponentials.sum(dim=1)
            if symmetric and rows != columns:
                total[columns] += exponentials.sum(dim=0)
        ctx.save_for_backward(anchors, bank, total)
        ctx.symmetric, ctx.weight, ctx.tile = symmetric, weight, tile
        return total.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        anchors, bank, total = ctx.saved_tensors
        scale = gradient / total  # d/ds_ij = scale_i w_ij e^{s_ij}
        to_anchors, to_bank = torch.zeros_like(anchors), torch.zeros_like(bank)
        with torch.autocast(anchors.device.type, enabled=False):
            for rows, columns in _tiles(len(anchors), len(bank), ctx.symmetric, ctx.tile):
                slope = _exponentials(anchors, bank, ctx.weight, rows, columns)
                if ctx.symmetric and rows != columns:  # the tile stands for its mirror image too
                    slope *= scale[rows, None] + scale[columns]
                else:
                    slope *= scale[rows, None]
                to_anchors[rows].addmm_(slope, bank[columns])
                to_bank[columns].addmm_(slope.T, anchors[rows])
        return to_anchors, to_bank, None, None, None


def _tiles(n: int, m: int, symmetric: bool, tile: int) -> Iterator[tuple[slice, slice]]:
    """Cut n x m pairs into tiles; of a symmetric matrix, those on and above the diagonal."""
    for top in range(0, n, tile):
        for left in range(top if symmetric else 0, m, tile):
            yield slice(top, min(top + tile, n)), slice(left, min(left + tile, m))


def _exponentials(
    anchors: Tensor, bank: Tensor, weight: PairWeight, rows: slice, columns: slice
) -> Tensor:
    """One tile of ``w_ij e^{s_ij}``."""
    tile = torch.mm(anchors[rows], bank[columns].T).exp_()
    weights = weight(rows, columns)
    return tile if weights is None else tile.mul_(weights)
