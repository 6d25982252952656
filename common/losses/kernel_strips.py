"""L_thr and L_exp as their formulas say, whose denominators depend on the positive, strip by strip.

Weights belong to subjects, so rows are counted by subject where that is cheaper: L_thr sorts one
row of B weights per subject, shared by its views, and takes running sums (O(n^2 log n)).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.losses.kernel_pairs import KernelPairs
from common.losses.strips import RowLoss, strips_of, sum_over_strips

__all__ = ["exponential_loss", "threshold_loss"]


def threshold_loss(anchors: Tensor, bank: Tensor, pairs: KernelPairs) -> Tensor:
    """Mean over anchors of L_thr.

    Args:
        anchors: (n, D) scaled rows of the own subjects.
        bank: (m, D) scaled rows of everyone.
        pairs: the weights.
    """
    views = pairs.views

    def of_strip(s: Tensor, _: Tensor, rows: slice, columns: slice) -> Tensor:
        strip = pairs.strip(slice(rows.start // views, rows.stop // views))
        of_self = _places_of_self(rows, pairs)
        shape = (len(strip.logs), views, strip.logs.shape[1], views)  # subject, view, subject, view
        repelled = s.exp().scatter(1, of_self, 0).view(shape).sum(dim=3)
        attracted = s.scatter(1, of_self, 0).view(shape).sum(dim=3)
        ascending, order = strip.logs.sort(dim=1)
        place = order[:, None].expand_as(repelled)
        # D of a subject: the running sum in front of the first of equal weight
        running = repelled.gather(2, place).cumsum(dim=2)
        first = torch.searchsorted(ascending, ascending)[:, None].expand_as(repelled)
        below = running.gather(2, (first - 1).clamp(min=0)).where(first > 0, 0)
        some = below != 0
        members = views - (order == strip.itself).to(s.dtype)  # the anchor is not its positive
        log_below = below.where(some, 1).log()
        terms = members[:, None] * log_below - attracted.gather(2, place)
        relative = ascending.sub_(strip.largest).exp_()
        kept = (relative[:, None] * terms).where(some, 0).sum(dim=2)
        return (kept / strip.normaliser(relative, views)).sum()

    return _mean(anchors, bank, pairs, of_strip)


def exponential_loss(anchors: Tensor, bank: Tensor, pairs: KernelPairs) -> Tensor:
    """Mean over anchors of L_exp; arguments as for `threshold_loss`."""
    if len(bank) == 2:  # the one positive leaves no row that repels
        return bank.sum() * 0
    views = pairs.views

    def of_strip(s: Tensor, _: Tensor, rows: slice, columns: slice) -> Tensor:
        strip = pairs.strip(slice(rows.start // views, rows.stop // views))
        of_self = _places_of_self(rows, pairs)
        relative = (strip.logs - strip.largest).exp_()
        shares = relative.div_(strip.normaliser(relative, views))
        w = pairs.repeated(strip.logs.exp())
        share = pairs.repeated(shares).scatter_(1, of_self, 0)
        exponents = (s * w.neg_().add_(1)).scatter(1, of_self, -torch.inf)
        return (share * (log_sums_of_others(exponents) - s)).sum()

    return _mean(anchors, bank, pairs, of_strip)


def log_sums_of_others(x: Tensor) -> Tensor:
    """Compute ``log sum_{t != k} e^{x_it}`` for every k of each row, differentiable once.

    Args:
        x: (n, m) small enough for its exponentials; in each row at least 2 above -inf.

    Returns:
        (n, m).
    """
    result: Tensor = _LogSumsOfOthers.apply(x)  # type: ignore[no-untyped-call]
    return result


class _LogSumsOfOthers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        largest = x.argmax(dim=1, keepdim=True)
        terms = x.exp()
        sums = _sums_of_others(terms, largest)
        ctx.save_for_backward(terms, sums, largest)
        return sums.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        terms, sums, largest = ctx.saved_tensors
        return _sums_of_others(gradient / sums, largest).mul_(terms)


def _sums_of_others(x: Tensor, largest: Tensor) -> Tensor:
    """Each row's sum minus one entry; for the largest (n, 1) the others are summed instead."""
    apart = x.gather(1, largest)
    rest = x.scatter(1, largest, 0).sum(dim=1, keepdim=True)
    return (rest + apart - x).scatter_(1, largest, rest)


def _mean(anchors: Tensor, bank: Tensor, pairs: KernelPairs, loss: RowLoss) -> Tensor:
    everyone = slice(0, len(bank))
    strips = strips_of(slice(0, len(anchors)), everyone, anchors.device, pairs.views)
    unused = anchors.new_zeros(len(anchors))
    return sum_over_strips(anchors, bank, unused, strips, loss) / len(anchors)


def _places_of_self(rows: slice, pairs: KernelPairs) -> Tensor:
    """The columns (rows, 1) where anchors meet themselves in a strip."""
    first = pairs.first * pairs.views
    return torch.arange(first + rows.start, first + rows.stop, device=pairs.own.device)[:, None]
