"""The log of a weighted sum of exponentials over a bank of rows, tile by tile.

Nearly every loss here holds, for each anchor i, a term ``log sum_j w_ij e^{s_ij}``, with ``s_ij``
the cosine over the temperature and ``w_ij`` the pair's repulsion (0 = not repelled: itself, its
positives). A large n x m matrix of s is never stored: a tile of it lives at a time, in the forward
pass and again in the backward pass, so memory is linear in the batch. When the bank is the anchors
themselves, s is symmetric and only the tiles on and above the diagonal are computed. A matrix no
larger than one tile is computed at once, and kept for the backward pass: that is faster there.

No running maximum is needed, hence one exponential per pair and no loss of precision: a cosine
over a temperature lies in [-1/T, 1/T], so ``e^s`` neither overflows nor vanishes in float32 for
T >= 1/60, nor in float64 for T >= 1/500; `scaled_rows` picks the type.

Reference: the recomputation in the backward pass is that of Dao et al., FlashAttention (2022).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = [
    "Damping",
    "PairWeight",
    "both",
    "differ",
    "equal",
    "log_repulsion",
    "log_repulsions",
    "other_subjects",
    "tile_side",
]

#: (rows, columns) of the matrix of pairs -> their weights: (rows, columns) shaped, or one for all
PairWeight = Callable[[slice, slice], Tensor | float]

_TILE = {"cpu": 512}  # side of a tile; 256 to 1024 are within 10 % of each other
_TILE_ON_ACCELERATOR = 4096


class Damping(NamedTuple):
    """Replaces s_ij by ``slope_ij s_ij + (1 - slope_ij) peak`` in the exponent.

    Attributes:
        slope: of the pairs, in [0, 1], tile by tile.
        peak: what a pair of slope 0 has in place of its s.
    """

    slope: PairWeight
    peak: float


def tile_side(device: torch.device) -> int:
    """Rows and columns of pairs that are held at a time."""
    return _TILE.get(device.type, _TILE_ON_ACCELERATOR)


def differ(rows: Tensor, columns: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where a row's number is another than a column's, else 0; see `equal`."""
    return _compare(torch.ne, rows, columns, dtype)


def equal(rows: Tensor, columns: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where a row's number is a column's too, else 0.

    As floats, since a matrix of booleans takes a CPU several times as long to make and to multiply
    by.

    Args:
        rows: (r,) whole numbers below 2^24, such as places in the bank.
        columns: (c,) likewise.
        dtype: floating, of the result.

    Returns:
        (r, c).
    """
    return _compare(torch.eq, rows, columns, dtype)


def _compare(
    comparison: Callable[..., Tensor], rows: Tensor, columns: Tensor, dtype: torch.dtype
) -> Tensor:
    result = torch.empty(len(rows), len(columns), dtype=dtype, device=rows.device)
    return comparison(rows.to(dtype)[:, None], columns.to(dtype), out=result)


def other_subjects(views: int, first_row: int, device: torch.device) -> PairWeight:
    """Weight 1 between rows of different subjects, 0 between views of the same subject.

    Args:
        views: consecutive rows of one subject, among the anchors and in the bank. With 1, only
            the anchor itself has weight 0.
        first_row: position in the bank of the first anchor (ranks before this one fill it).
        device: where the weights are made.

    Returns:
        The weights of a tile; one number away from the diagonal, where all are 1.
    """

    def weight(rows: slice, columns: slice) -> Tensor | float:
        start, stop = first_row + rows.start, first_row + rows.stop
        if start // views > (columns.stop - 1) // views:
            return 1.0
        if columns.start // views > (stop - 1) // views:
            return 1.0
        anchor = torch.arange(start, stop, device=device) // views
        other = torch.arange(columns.start, columns.stop, device=device) // views
        return differ(anchor, other, torch.float)

    return weight


def both(first: PairWeight, second: PairWeight) -> PairWeight:
    """Multiply two weights."""
    return lambda rows, columns: first(rows, columns) * second(rows, columns)


def log_repulsion(
    anchors: Tensor,
    bank: Tensor,
    weight: PairWeight,
    damping: Damping | None = None,
    symmetric: bool = True,
    mirrored: bool = False,
    kept: int = 0,
) -> Tensor:
    """Compute ``log sum_j w_ij e^{<anchor_i, bank_j>}`` for every anchor, differentiably.

    Args:
        anchors: (n, D) from `scaled_rows`.
        bank: (m, D) likewise; the very tensor `anchors` for a batch against itself.
        weight: repulsion of the pairs, not negative. A tile of weight 0.0 costs nothing.
        damping: changes the exponents, see `Damping`.
        symmetric: `weight` and `damping` are so, which halves the work of a batch against itself.
        mirrored: the bank is the anchors with columns exchanged in pairs, so that
            ``<anchor_i, bank_j> = <anchor_j, bank_i>``: as symmetric as a batch against itself.
        kept: a matrix of so many pairs is computed at once too, if it is larger than a tile.

    Returns:
        (n,), same type and device; -inf, without gradient, for an anchor whose weights are all 0.
        Differentiable once.
    """
    every = log_repulsions(anchors, bank, [weight], damping, symmetric, mirrored, kept)
    return every.squeeze(0)


def log_repulsions(
    anchors: Tensor,
    bank: Tensor,
    weights: Sequence[PairWeight],
    damping: Damping | None = None,
    symmetric: bool = True,
    mirrored: bool = False,
    kept: int = 0,
) -> Tensor:
    """Compute `log_repulsion` for k weights (k, n) from one exponential a pair."""
    tile = tile_side(anchors.device)
    symmetric = symmetric and (mirrored or bank is anchors)
    function = _AtOnce if len(anchors) * len(bank) <= max(tile**2, kept) else _InTiles
    result: Tensor = function.apply(  # type: ignore[no-untyped-call]
        anchors, bank, symmetric, weights, damping, tile
    )
    return result


class _AtOnce(torch.autograd.Function):
    """`log_repulsions` of one tile, which is kept for the backward pass, once for each weight."""

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        bank: Tensor,
        symmetric: bool,
        weights: Sequence[PairWeight],
        damping: Damping | None,
        tile: int,
    ) -> Tensor:
        everything = slice(0, len(anchors)), slice(0, len(bank))
        terms = _terms(anchors, bank, weights, damping, *everything)
        if not terms.weighted:
            terms = _Terms({0: anchors.new_zeros(len(anchors), len(bank))}, 1.0)
        total = anchors.new_zeros(len(weights), len(anchors))
        for k, exponentials in terms.weighted.items():
            total[k] = exponentials.sum(dim=1)
        slope = () if isinstance(terms.slope, float) else (terms.slope,)
        ctx.save_for_backward(anchors, bank, total, *terms.weighted.values(), *slope)
        ctx.weights, ctx.symmetric = list(terms.weighted), symmetric
        return _log(total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        anchors, bank, total, *kept = ctx.saved_tensors
        scale = (gradient / total).where(total != 0, 0)
        weighted = dict(zip(ctx.weights, kept))
        slope = _slope(weighted, scale, scale if ctx.symmetric else None)
        for damped in kept[len(weighted) :]:
            slope *= damped
        with torch.autocast(anchors.device.type, enabled=False):
            asked = ctx.needs_input_grad[1] and not ctx.symmetric
            to_bank = torch.mm(slope.T, anchors) if asked else None
            return torch.mm(slope, bank), to_bank, None, None, None, None


class _InTiles(torch.autograd.Function):
    """`log_repulsions` of many tiles; the sums are kept for the backward pass, no tile is."""

    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        bank: Tensor,
        symmetric: bool,
        weights: Sequence[PairWeight],
        damping: Damping | None,
        tile: int,
    ) -> Tensor:
        total = anchors.new_zeros(len(weights), len(anchors))
        ctx.pairs = weights, damping, list(_tiles(len(anchors), len(bank), symmetric, tile))
        for rows, columns in ctx.pairs[2]:
            terms = _terms(anchors, bank, weights, damping, rows, columns)
            for k, exponentials in terms.weighted.items():
                total[k, rows] += exponentials.sum(dim=1)
                if symmetric and rows != columns:
                    total[k, columns] += exponentials.sum(dim=0)
        ctx.save_for_backward(anchors, bank, total)
        ctx.symmetric = symmetric
        return _log(total)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        anchors, bank, total = ctx.saved_tensors
        scale = (gradient / total).where(total != 0, 0)
        to_anchors, to_bank = torch.zeros_like(anchors), torch.zeros_like(bank)
        weights, damping, tiles = ctx.pairs
        with torch.autocast(anchors.device.type, enabled=False):
            for rows, columns in tiles:
                terms = _terms(anchors, bank, weights, damping, rows, columns)
                if not terms.weighted:
                    continue
                twice = ctx.symmetric and rows != columns  # the tile is its mirror image's too
                mirror = scale[:, columns] if twice else None
                slope = _slope(terms.weighted, scale[:, rows], mirror).mul_(terms.slope)
                to_anchors[rows].addmm_(slope, bank[columns])
                if ctx.symmetric or ctx.needs_input_grad[1]:
                    to_bank[columns].addmm_(slope.T, anchors[rows])
        return to_anchors, to_bank, None, None, None, None


class _Terms(NamedTuple):
    weighted: dict[int, Tensor]  # number of a weight -> its w_ij e^{s_ij} of a tile, if not all 0
    slope: Tensor | float  # d exponent / d s_ij


def _terms(
    anchors: Tensor,
    bank: Tensor,
    weights: Sequence[PairWeight],
    damping: Damping | None,
    rows: slice,
    columns: slice,
) -> _Terms:
    here = {k: weight(rows, columns) for k, weight in enumerate(weights)}
    here = {k: w for k, w in here.items() if not (isinstance(w, float) and w == 0)}
    if not here:
        return _Terms({}, 1.0)
    tile = torch.mm(anchors[rows], bank[columns].T)
    slope: Tensor | float = 1.0
    if damping is not None:
        slope = damping.slope(rows, columns)
        tile.sub_(damping.peak).mul_(slope).add_(damping.peak)
    tile.exp_()
    *others, last = here
    weighted = {k: tile * here[k] for k in others}
    if not (isinstance(here[last], float) and here[last] == 1):
        tile.mul_(here[last])
    return _Terms(weighted | {last: tile}, slope)


def _slope(weighted: dict[int, Tensor], scale: Tensor, mirror: Tensor | None) -> Tensor:
    """d/ds_ij = sum_k (scale_ki + mirror_kj) w_kij e^{s_ij} without damping; mirror may be None."""
    parts = (
        terms * scale[k, :, None] if mirror is None else (scale[k, :, None] + mirror[k]).mul_(terms)
        for k, terms in weighted.items()
    )
    slope = next(parts)
    for part in parts:
        slope += part
    return slope


def _tiles(n: int, m: int, symmetric: bool, tile: int) -> Iterator[tuple[slice, slice]]:
    """Cut n x m pairs into tiles, column by column; of symmetric ones, the upper half."""
    for left in range(0, m, tile):
        for top in range(0, left + 1 if symmetric else n, tile):
            yield slice(top, min(top + tile, n)), slice(left, min(left + tile, m))


def _log(total: Tensor) -> Tensor:
    """Compute the logarithm; of 0, -inf without a gradient."""
    some = total != 0
    return total.where(some, 1).log().where(some, -torch.inf)
