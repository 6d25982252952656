"""L_thr and L_exp as their formulas say, whose denominators depend on the positive, strip by strip.

Weights belong to subjects, so rows are counted by subject where that is cheaper: L_thr sorts one
row of B weights per subject, shared by its views, and takes running sums (O(n^2 log n)).
"""

import torch
from torch import Tensor

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
        weights, itself = pairs.strip(slice(rows.start // views, rows.stop // views))
        of_self = _self(s, rows, pairs)
        shape = (len(weights), views, weights.shape[1], views)  # subject, view, subject, view
        repelled = s.exp().masked_fill(of_self, 0).view(shape).sum(dim=3)
        attracted = s.masked_fill(of_self, 0).view(shape).sum(dim=3)
        ascending, order = weights.sort(dim=1)
        place = order[:, None].expand_as(repelled)
        # D of a subject: the running sum in front of the first of equal weight
        running = repelled.gather(2, place).cumsum(dim=2)
        first = torch.searchsorted(ascending, ascending)[:, None].expand_as(repelled)
        below = running.gather(2, (first - 1).clamp(min=0)).where(first > 0, 0)
        some = below > 0
        members = views - (order == itself[:, None]).to(s.dtype)  # the anchor is not its positive
        log_below = below.where(some, 1).log()
        terms = members[:, None] * log_below - attracted.gather(2, place)
        kept = (ascending[:, None] * terms).where(some, 0).sum(dim=2)
        return (kept / _normaliser(weights, itself, views)[:, None]).sum()

    return _mean(anchors, bank, pairs, of_strip)


def exponential_loss(anchors: Tensor, bank: Tensor, pairs: KernelPairs) -> Tensor:
    """Mean over anchors of L_exp; arguments as for `threshold_loss`."""
    views = pairs.views

    def of_strip(s: Tensor, _: Tensor, rows: slice, columns: slice) -> Tensor:
        weights, itself = pairs.strip(slice(rows.start // views, rows.stop // views))
        of_self = _self(s, rows, pairs)
        w = weights.repeat_interleave(views, 0).repeat_interleave(views, 1)
        w = w.masked_fill_(of_self, 0)
        terms = (s * (1 - w)).exp().masked_fill(of_self, 0)
        # without k: all terms less its own, but for the largest, whose rest is summed apart
        largest = terms.detach().argmax(dim=1, keepdim=True)
        rest = terms.scatter(1, largest, 0).sum(dim=1, keepdim=True)
        without = rest + terms.gather(1, largest) - terms
        without = without.scatter(1, largest, rest)
        some = without > 0
        logs = (without.where(some, 1).log() - s).where(some, 0)
        normaliser = _normaliser(weights, itself, views).repeat_interleave(views)
        return ((w * logs).sum(dim=1) / normaliser).sum()

    return _mean(anchors, bank, pairs, of_strip)


def _mean(anchors: Tensor, bank: Tensor, pairs: KernelPairs, loss: RowLoss) -> Tensor:
    everyone = slice(0, len(bank))
    strips = strips_of(slice(0, len(anchors)), everyone, anchors.device, pairs.views)
    unused = anchors.new_zeros(len(anchors))
    return sum_over_strips(anchors, bank, unused, strips, loss) / len(anchors)


def _self(s: Tensor, rows: slice, pairs: KernelPairs) -> Tensor:
    """Where anchors meet themselves in a strip."""
    columns = torch.arange(rows.start, rows.stop, device=s.device) + pairs.first * pairs.views
    return torch.zeros_like(s, dtype=torch.bool).scatter_(1, columns[:, None], True)


def _normaliser(weights: Tensor, itself: Tensor, views: int) -> Tensor:
    """Weights of the other rows of each subject's anchors; inf instead of 0, so that 0 is left."""
    own = weights.gather(1, itself[:, None]).squeeze(1)
    others = weights.scatter(1, itself[:, None], 0).sum(dim=1)
    total = views * others + (views - 1) * own
    return total.where(total > 0, torch.inf)
