"""L_thr and L_exp as their formulas say, whose denominators depend on the positive, strip by strip.

Weights belong to subjects, so rows are counted by subject where that is cheaper: L_thr puts the
others in order once for each subject, for all its views, and takes running sums over them.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from common.losses.kernel_pairs import KernelOrder, KernelPairs
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
        shape = (len(strip.logs), views, views, strip.logs.shape[1])  # subject, view, view, subject
        of_self = strip.itself + shape[3] * torch.arange(views, device=s.device)
        of_self = of_self.view(-1, 1)  # where anchors meet themselves
        repelled = s.exp().scatter(1, of_self, 0).view(shape).sum(dim=2)
        attracted = s.scatter(1, of_self, 0).view(shape).sum(dim=2)
        order = pairs.order(strip.logs)
        log_below = log_sums_below(repelled, order)
        members = torch.full_like(strip.logs, views)
        members.scatter_(1, strip.itself, views - 1)  # the anchor is not its positive
        terms = members[:, None] * log_below - attracted
        relative = (strip.logs - strip.largest).exp_()
        kept = (relative[:, None] * terms).where(log_below != -torch.inf, 0).sum(dim=2)
        return (kept / strip.normaliser(relative, views)).sum()

    by_view = bank.view(-1, views, bank.shape[1]).transpose(0, 1).flatten(0, 1)
    return _mean(anchors, by_view, pairs, of_strip)


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


def log_sums_below(x: Tensor, order: KernelOrder) -> Tensor:
    """Compute ``log sum_{t: w_t < w_k} x_it`` for every subject k, differentiable once.

    Args:
        x: (b, V, B), at least 0: of each row of b subjects, its sums over the rows of all subjects.
        order: of all subjects by their weight to each of the b.

    Returns:
        (b, V, B); -inf, without gradient, where the sum is 0 or empty.
    """
    result: Tensor = _LogSumsBelow.apply(x, order)  # type: ignore[no-untyped-call]
    return result


class _LogSumsBelow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, order: KernelOrder) -> Tensor:
        places, below = (index[:, None].expand_as(x) for index in order)
        running = functional.pad(x.gather(2, places).cumsum_(2), (1, 0))
        sums = running.gather(2, below)
        ctx.save_for_backward(sums, places, below)
        return sums.log()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        sums, places, below = ctx.saved_tensors
        slope = (gradient / sums).where(sums != 0, 0)
        by_count = torch.zeros_like(slope).scatter_add_(2, below, slope)
        # whoever has p below is in the sums of all that have more than p below
        more = functional.pad(by_count.flip(2).cumsum_(2).flip(2)[..., 1:], (0, 1))
        return torch.empty_like(slope).scatter_(2, places, more), None


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
