"""Rows sorted by label, so that whole tiles of pairs share their label or share none.

With the rows in the order of their labels, the pairs of the same label are blocks on the diagonal:
a tile beside them needs no mask, and a sum over positives alone skips the rest of the matrix. The
attraction ``sum_p s_ip`` is linear in the positives, so it needs the sum of a class's rows only.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from common.distributed import gather, rank
from common.losses.repulsion import PairWeight
from common.losses.rows import scaled_rows

__all__ = ["LabelledRows", "label_weight", "labelled_rows"]


@dataclass(frozen=True)
class LabelledRows:
    """This rank's rows as anchors, all ranks' rows as bank, each sorted by label.

    Attributes:
        anchors: (n, D) scaled rows; the very tensor `bank` when there is one rank.
        bank: (m, D).
        anchor_label: (n,) ascending.
        bank_label: (m,) ascending.
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
        label, members = torch.unique_consecutive(self.bank_label, return_inverse=True)
        sums = self.bank.new_zeros(len(label), self.bank.shape[1])
        sums = sums.index_add(0, members, self.bank)
        of_anchor = torch.searchsorted(label, self.anchor_label)
        others = sums.index_select(0, of_anchor) - self.anchors
        return (self.anchors * others).sum(dim=1) / self.positives.clamp(min=1)


def labelled_rows(z: Tensor, label: Tensor, temperature: float) -> LabelledRows:
    """Scale, gather and sort the rows of z (B, V, D) by label (B,)."""
    own = scaled_rows(z, temperature).flatten(0, 1)
    own_label = label.to(z.device, torch.long).repeat_interleave(z.shape[1])
    everyone, everyones_label = gather(own), gather(own_label)
    bank_label, bank_order = everyones_label.sort(stable=True)
    bank = everyone.index_select(0, bank_order)
    if everyone is own:
        anchors, anchor_label = bank, bank_label
        position = torch.arange(len(bank), device=z.device)
    else:
        anchor_label, order = own_label.sort(stable=True)
        anchors = own.index_select(0, order)
        position = bank_order.argsort()[rank() * len(own) + order]
    start = torch.searchsorted(bank_label, anchor_label)
    stop = torch.searchsorted(bank_label, anchor_label, right=True)
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
        here = torch.arange(columns.start, columns.stop, device=rows.bank.device)
        if same == other:  # a mask is enough where all weights are 0 or 1
            not_self = rows.position[of, None] != here
            return (not_self if same == 1 else not_self * same) if with_self else same
        alike = rows.anchor_label[of, None] == rows.bank_label[columns]
        if same == 0 and other == 1:
            return ~alike
        if with_self:
            not_self = rows.position[of, None] != here
            if same == 1 and other == 0:
                return alike & not_self
        weights = rows.bank.new_full((), other).where(~alike, same)
        return weights.mul_(not_self) if with_self else weights

    return weight
