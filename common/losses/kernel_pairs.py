"""The weights of a kernel on the subjects' y, for tiles and strips of pairs of rows.

They are handled as logarithms: a loss needs only the share of each weight in an anchor's sum of
weights. Where an age is far from all others the weights are too small to be represented as numbers,
but their shares are not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.checks import require
from common.kernels import Kernel, log_kernel
from common.losses.repulsion import PairWeight, tile_side

__all__ = ["KernelOrder", "KernelPairs", "KernelStrip", "KernelSums", "ranks"]

_TOLERANCE = 1e-6
_AT_ONCE = 32  # subjects whose weights to all are put in order at once
_LOWEST = -745.14  # e^-745.14 is 0 in float64, so a weight of this logarithm or a lower one is 0


class KernelSums(NamedTuple):
    """Of each own subject, its weights divided by the largest that any of its rows has.

    Attributes:
        product: (b, D) these weights times the x of the other subjects.
        total: (b,) sum of these weights to the other subjects; 0 without any weight.
        itself: (b,) its weight to itself; 0 where a subject has one row, which never meets itself.
    """

    product: Tensor
    total: Tensor
    itself: Tensor


class KernelStrip(NamedTuple):
    """The weights of some own subjects (b,) to all subjects (B,), of which some are themselves.

    Attributes:
        logs: (b, B) logarithms of the weights; -inf for a subject itself if it has one row.
        largest: (b, 1) the largest of each row; 0 where it has no weight.
        itself: (b, 1) where in a row subjects meet themselves.
    """

    logs: Tensor
    largest: Tensor
    itself: Tensor

    def normaliser(self, relative: Tensor, views: int) -> Tensor:
        """Sum (b, 1) the weights over `largest` to all other rows; inf where there is none.

        Args:
            relative: (b, B) weights over `largest`, in any order within a row.
            views: rows of a subject.
        """
        own = (self.logs.gather(1, self.itself) - self.largest).exp_()
        total = views * relative.sum(dim=1, keepdim=True) - own
        return total.where(total > 0, torch.inf)


class KernelOrder(NamedTuple):
    """All subjects (B,) in the order of their weights to some subjects (b,).

    Attributes:
        places: (b, B) the subjects, from the least to the most alike.
        below: (b, B) of each subject, how many weigh less.
    """

    places: Tensor
    below: Tensor


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
        return self.logs(self.own[rows], self.everyone[columns]).exp_()

    def logs(self, a: Tensor, b: Tensor) -> Tensor:
        """Logarithms of the weights between the y of two sets of subjects."""
        logs = log_kernel(self.kernel, a, b).to(a.dtype)
        return functional.threshold(logs, _LOWEST, -torch.inf, inplace=True)

    def strip(self, rows: slice) -> KernelStrip:
        """The weights of the subjects `rows` of `own` to all."""
        logs = self.logs(self.own[rows], self.everyone)
        itself = torch.arange(rows.start, rows.stop, device=logs.device)[:, None] + self.first
        if self.views == 1:
            logs.scatter_(1, itself, -torch.inf)
        largest = logs.amax(dim=1, keepdim=True)
        greatest = math.exp(min(float(largest.max()), 700.0))
        require(
            greatest <= 1 + _TOLERANCE,
            "KernelContrastive: kernel must be at most 1, got "
            f"{round(greatest, 6)}. Divide by its maximum.",
        )
        return KernelStrip(logs, largest.where(largest != -torch.inf, 0), itself)

    def order(self, logs: Tensor) -> KernelOrder:
        """Put all subjects in the order of their weights, of which `logs` (b, B) are logarithms."""
        by_y = logs.index_select(1, self._by_y)
        order = _rising(by_y)
        rising = by_y.gather(1, order)
        at = torch.arange(logs.shape[1], device=logs.device)
        differs = rising[:, 1:] != rising[:, :-1]
        first = functional.pad(torch.where(differs, at[1:], 0), (1, 0)).cummax(dim=1).values
        places = self._by_y[order]
        return KernelOrder(places, torch.empty_like(places).scatter_(1, places, first))

    @cached_property
    def _by_y(self) -> Tensor:
        """All subjects in the order of the first number of their y: then weights rise and fall."""
        return self.everyone[:, 0].argsort()

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

    def _apart(self, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Return `KernelSums`' weights with 0 for a subject itself, their sums, the replaced."""
        logs, largest, itself = self.strip(rows)
        weights = logs.sub_(largest).exp_()
        kept = weights.gather(1, itself).squeeze(1)
        weights.scatter_(1, itself, 0)
        return weights, weights.sum(dim=1), kept

    def _strips(self) -> list[slice]:
        height = max(tile_side(self.own.device) ** 2 // len(self.everyone), 1)
        tops = range(0, len(self.own), height)
        return [slice(top, min(top + height, len(self.own))) for top in tops]


def _rising(rows: Tensor) -> Tensor:
    """The order (b, B) in which the numbers of each row rise."""
    if rows.device.type == "cpu":  # which follows runs that rise or fall: 10 times as fast on those
        return torch.from_numpy(rows.numpy().argsort(axis=1, kind="stable"))
    return rows.argsort(dim=1)


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

    def below(y: Tensor) -> Tensor:
        order = pairs.order(pairs.logs(y, pairs.everyone))
        to_own = order.below[:, pairs.first :][:, : len(pairs.own)]
        return (to_own * pairs.views).to(y.dtype)

    def of_subjects(rows: slice, columns: slice) -> Tensor:
        key = columns.start, columns.stop
        if key not in last:
            last.clear()
            parts = torch.split(pairs.everyone[columns], _AT_ONCE)
            last[key] = torch.cat([below(part) for part in parts])
        return last[key][:, rows].T

    return pairs.of_rows(of_subjects)
