"""Rows sorted by label, so that whole tiles of pairs share their label or share none.

With the rows in the order of their labels, the pairs of the same label are blocks on the diagonal:
a tile beside them needs no mask, and a sum over positives alone skips the rest of the matrix. The
attraction ``sum_p s_ip`` is linear in the positives, so it needs the sum of a class's rows only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.distributed import gather, rank
from common.losses.repulsion import PairWeight, differ
from common.losses.rows import scaled_rows

__all__ = ["LabelledRows", "label_weight", "labelled_rows"]


@dataclass(frozen=True)
class LabelledRows:
    """This rank's rows as anchors, all ranks' rows as bank, each sorted by label.

    Attributes:
        anchors: (n, D) scaled rows; the very tensor `bank` when there is one rank.
        bank: (m, D).
        anchor_label: (n,) ascending, counted from 0 through the labels of the bank.
        bank_label: (m,) likewise.
        position: (n,) where each anchor stands in the bank; ascending too.
        start: (n,) first row in the bank of the anchor's class.
        stop: (n,) behind the last one.
    """

    anchors: Tensor
    bank: Tensor
    anchor_label: Tensor
    bank_label: Tensor
    position: Tensor
    start: Tensor
    stop: Tensor

    @property
    def positives(self) -> Tensor:
        """Rows (n,) of the anchor's label besides itself."""
        return self.stop - self.start - 1

    def attraction(self) -> Tensor:
        """Mean s_ip (n,) over the positives of each anchor; 0 without positives."""
        sums = self.bank.new_zeros(int(self.bank_label[-1]) + 1, self.bank.shape[1])
        sums = sums.index_add(0, self.bank_label, self.bank)
        others = sums.index_select(0, self.anchor_label) - self.anchors
        return (self.anchors * others).sum(dim=1) / self.positives.clamp(min=1)


def labelled_rows(z: Tensor, label: Tensor, temperature: float) -> LabelledRows:
    """Scale, gather and sort the rows of z (B, V, D) by label (B,)."""
    own = scaled_rows(z, temperature).flatten(0, 1)
    own_label = label.to(z.device, torch.long).repeat_interleave(z.shape[1])
    everyone, everyones_label = gather(own), gather(own_label)
    sorted_label, bank_order = everyones_label.sort(stable=True)
    _, bank_label, sizes = torch.unique_consecutive(
        sorted_label, return_inverse=True, return_counts=True
    )
    bank = everyone.index_select(0, bank_order)
    if everyone is own:
        anchors, anchor_label = bank, bank_label
        position = torch.arange(len(bank), device=z.device)
    else:
        order = own_label.argsort(stable=True)
        anchors = own.index_select(0, order)
        position = bank_order.argsort()[rank() * len(own) + order]
        anchor_label = bank_label[position]
    stop = sizes.cumsum(0)
    start, stop = (stop - sizes)[anchor_label], stop[anchor_label]
    return LabelledRows(anchors, bank, anchor_label, bank_label, position, start, stop)


def label_weight(rows: LabelledRows, same: float, other: float) -> PairWeight:
    """Weight `same` between rows of the same label, `other` else; 0 with itself.

    Args:
        rows: both sides of the pairs.
        same: repulsion of a positive.
        other: repulsion of a negative.
    """
    anchor_label, bank_label = rows.anchor_label.tolist(), rows.bank_label.tolist()
    position = rows.position.tolist()

    def weight(of: slice, columns: slice) -> Tensor | float:
        first, last = anchor_label[of.start], anchor_label[of.stop - 1]
        left, right = bank_label[columns.start], bank_label[columns.stop - 1]
        if last < left or right < first:
            return other
        with_self = position[of.stop - 1] >= columns.start and position[of.start] < columns.stop
        if first == last == left == right and (not with_self or same == 0):
            return same
        unlike = differ(rows.anchor_label[of], rows.bank_label[columns], rows.bank.dtype)
        weights = unlike.mul_(other - same).add_(same)
        if with_self and same != 0:
            place = rows.position[of] - columns.start
            inside = (place >= 0) & (place < weights.shape[1])
            weights[inside, place[inside]] = 0
        return weights

    return weight
