"""The weights of a kernel on the subjects' y, for tiles and strips of pairs of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.checks import require
from common.kernels import Kernel
from common.losses.repulsion import PairWeight, tile_side

__all__ = ["KernelPairs", "KernelSums", "ranks"]

_TOLERANCE = 1e-6


class KernelSums(NamedTuple):
    """Of each own subject.

    Attributes:
        product: (b, D) its weights times the x of the other subjects.
        total: (b,) sum of its weights to the other subjects.
        itself: (b,) its weight to itself.
    """

    product: Tensor
    total: Tensor
    itself: Tensor


@dataclass(frozen=True)
class KernelPairs:
    """This rank's subjects against those of all ranks; a row's weight is that of its subject.

    Attributes:
        kernel: on y, at most 1; what is below 0 counts as 0.
        own: (b, k) y of this rank's subjects.
        everyone: (B, k) y of all ranks' subjects.
        first: position of `own` in `everyone`.
        views: consecutive rows of a subject.
    """

    kernel: Kernel
    own: Tensor
    everyone: Tensor
    first: int
    views: int

    def of_subjects(self, rows: slice, columns: slice) -> Tensor:
        """Weights between subjects, `rows` of `own` against `columns` of `everyone`."""
        return self._weights(self.own[rows], self.everyone[columns])

    def strip(self, rows: slice) -> tuple[Tensor, Tensor]:
        """Weights of the subjects `rows` of `own` to all, and where in it they meet themselves."""
        weights = self.of_subjects(rows, slice(0, len(self.everyone)))
        largest = float(weights.max())
        require(
            largest <= 1 + _TOLERANCE,
            f"KernelContrastive: kernel must be at most 1, got {largest}. Divide by its maximum.",
        )
        itself = torch.arange(rows.start, rows.stop, device=weights.device) + self.first
        return weights, itself

    def sums(self, x: Tensor) -> KernelSums:
        """Sum over the other subjects: x (B, D), differentiable in it; see `KernelSums`."""
        if len(self.own) * len(self.everyone) <= tile_side(x.device) ** 2:
            weights, total, itself = self._apart(slice(0, len(self.own)))
            return KernelSums(weights @ x, total, itself)
        sums = _Sums.apply(x, self)  # type: ignore[no-untyped-call]
        return KernelSums(*sums)

    def of_rows(self, of_subjects: Callable[[slice, slice], Tensor]) -> PairWeight:
        """Repeat a function of subjects for their rows, whose tiles may cut through subjects."""

        def weight(rows: slice, columns: slice) -> Tensor | float:
            above, below = rows.start // self.views, -(-rows.stop // self.views)
            left, right = columns.start // self.views, -(-columns.stop // self.views)
            weights = of_subjects(slice(above, below), slice(left, right))
            if self.views == 1:
                return weights
            weights = self.repeated(weights)
            top, side = rows.start - above * self.views, columns.start - left * self.views
            return weights[top:, side:][: rows.stop - rows.start, : columns.stop - columns.start]

        return weight

    def repeated(self, weights: Tensor) -> Tensor:
        """Repeat weights between subjects for their rows; a matrix of its own."""
        rows, columns = (
            torch.arange(size * self.views, device=weights.device) // self.views
            for size in weights.shape
        )
        return weights.index_select(1, columns).index_select(0, rows)

    def _weights(self, a: Tensor, b: Tensor) -> Tensor:
        return self.kernel(a, b).to(a.dtype).clamp(min=0)

    def _apart(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """The weights of a strip with 0 for a subject itself, their sums, and what was there."""
        weights, itself = self.strip(rows)
        kept = weights.gather(1, itself[:, None]).squeeze(1)
        weights.scatter_(1, itself[:, None], 0)
        return weights, weights.sum(dim=1), kept

    def _strips(self) -> list[slice]:
        height = max(tile_side(self.own.device) ** 2 // len(self.everyone), 1)
        tops = range(0, len(self.own), height)
        return [slice(top, min(top + height, len(self.own))) for top in tops]


class _Sums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: KernelPairs) -> tuple[Tensor, Tensor, Tensor]:
        ctx.pairs = pairs
        product = x.new_empty(len(pairs.own), x.shape[1])
        totals, kept = [], []
        for rows in pairs._strips():
            weights, total, itself = pairs._apart(rows)
            torch.mm(weights, x, out=product[rows])
            totals.append(total)
            kept.append(itself)
        total, itself = torch.cat(totals), torch.cat(kept)
        ctx.mark_non_differentiable(total, itself)
        return product, total, itself

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        pairs: KernelPairs = ctx.pairs
        to_x = gradient.new_zeros(len(pairs.everyone), gradient.shape[1])
        with torch.autocast(gradient.device.type, enabled=False):
            for rows in pairs._strips():
                to_x.addmm_(pairs._apart(rows)[0].T, gradient[rows])
        return to_x, None


def ranks(pairs: KernelPairs) -> PairWeight:
    """Weight of i and t: the number of rows less alike t than i is (rows q with w_tq < w_ti).

    Not symmetric. A strip of columns is sorted once and kept while the rows go by.
    """
    last: dict[tuple[int, int], Tensor] = {}

    def of_subjects(rows: slice, columns: slice) -> Tensor:
        key = columns.start, columns.stop
        if key not in last:
            last.clear()
            weights = pairs._weights(pairs.everyone[columns], pairs.everyone)
            to_own = weights[:, pairs.first :][:, : len(pairs.own)].contiguous()
            below = torch.searchsorted(weights.sort(dim=1).values, to_own)
            last[key] = (below * pairs.views).to(weights.dtype)
        return last[key][:, rows].T

    return pairs.of_rows(of_subjects)
