"""epsilon-SupInfoNCE: rows of the same label win by a margin over the rows of other labels.

For an anchor i, its positives p (the other rows of its label, the other views of its subject among
them) and its negatives n (the rows of other labels), s the cosine over the temperature::

    out   l_i = -1/|P| sum_p log( e^{s_p} / (e^{s_p - epsilon} + sum_n e^{s_n}) )
    in    l_i = -log( sum_p e^{s_p} / (1/|P| sum_p e^{s_p - epsilon} + sum_n e^{s_n}) )

averaged over the B V anchors; an anchor without positives counts 0 in that mean (Barbano et al.,
Unbiased Supervised Contrastive Learning, ICLR 2023, Eq. 8; talk 2023, slide 42: "out"). Unlike in
`SupCon`, a positive does not repel another. In a batch without negatives "out" is -epsilon.

Differs from the paper: the margin is subtracted after division by the temperature, as the released
code does (the paper has no temperature), and the sum over positives is a mean, as there. Differs
from the released code: no ``log(x + 1e-6)`` and no factor temperature / 0.07.

Paper: https://arxiv.org/abs/2211.05568
"""

from typing import Literal

import torch
from torch import Tensor

from common.checks import require
from common.losses.labelled import LabelledRows, label_weight, labelled_rows
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion, log_repulsions, tile_side
from common.losses.rows import check_groups, check_rows, check_temperature, finite_only_if
from common.losses.strips import Strip, strips_of, sum_over_strips

__all__ = ["SupInfoNCE", "sup_info_nce"]

Form = Literal["out", "in"]


def sup_info_nce(
    z: Tensor, *, label: Tensor, temperature: float, epsilon: float = 0.0, form: Form = "out"
) -> Tensor:
    """Compute epsilon-SupInfoNCE over all rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        label: (B,) whole numbers from 0, the class of each subject.
        temperature: divides the cosines, at least 0.002.
        epsilon: margin by which a positive must win, >= 0, in units of cosine / temperature.
        form: the sum over positives outside ("out") or inside ("in") the logarithm.

    Returns:
        Scalar, mean over this rank's anchors, float32 or wider.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all cosines 0: log(3)
    >>> round(float(sup_info_nce(z, label=torch.tensor([0, 1]), temperature=0.5)), 4)
    1.0986
    """
    check_temperature("SupInfoNCE", temperature)
    check_rows("SupInfoNCE", z)
    check_groups("SupInfoNCE", "label", label, z)
    with torch.autocast(z.device.type, enabled=False):
        rows = labelled_rows(z, label, temperature)
        negative = label_weight(rows, same=0.0, other=1.0)
        if form == "out":
            negatives = log_repulsion(rows.anchors, rows.bank, negative)
            total = _denominators(rows, negatives, epsilon)
            loss = total / len(rows.anchors) - rows.attraction().mean()
        else:
            positive = label_weight(rows, same=1.0, other=0.0)
            sums = log_repulsions(rows.anchors, rows.bank, [positive, negative])
            positives, negatives = sums.unbind()
            some = rows.positives > 0
            positives = positives.where(some, 0)
            margin = positives - rows.positives.clamp(min=1).to(positives.dtype).log() - epsilon
            loss = (torch.logaddexp(margin, negatives) - positives).where(some, 0).mean()
        return finite_only_if(loss, rows.bank).to(torch.promote_types(z.dtype, torch.float32))


def _denominators(rows: LabelledRows, negatives: Tensor, epsilon: float) -> Tensor:
    """Sum over i of the mean over p of log(e^{s_ip - epsilon} + e^{negatives_i})."""

    def of_strip(s: Tensor, negative: Tensor, of: slice, columns: slice) -> Tensor:
        logs = torch.logaddexp(s - epsilon, negative[:, None])
        here = torch.arange(columns.start, columns.stop, device=s.device)
        positive = rows.position[of, None] != here
        if rows.bank_label[columns.start] != rows.bank_label[columns.stop - 1]:
            positive &= rows.anchor_label[of, None] == rows.bank_label[columns]
        return (logs.where(positive, 0).sum(dim=1) / rows.positives[of].clamp(min=1)).sum()

    strips = _strips_of_classes(rows)
    return sum_over_strips(rows.anchors, rows.bank, negatives, strips, of_strip)


def _strips_of_classes(rows: LabelledRows) -> list[Strip]:
    """Cut the pairs of equal label into strips, small classes that follow each other together."""
    device = rows.anchors.device
    _, sizes = torch.unique_consecutive(rows.anchor_label, return_counts=True)
    starts, stops = rows.start.tolist(), rows.stop.tolist()
    most = tile_side(device) // 4
    strips: list[Strip] = []
    first = end = 0
    for size in sizes.tolist():
        if end > first and stops[end] - starts[first] > most:
            strips += strips_of(slice(first, end), slice(starts[first], stops[end - 1]), device)
            first = end
        end += size
    return strips + strips_of(slice(first, end), slice(starts[first], stops[end - 1]), device)


class SupInfoNCE(Loss):
    """epsilon-SupInfoNCE; see `sup_info_nce`."""

    targets = ("label",)

    def __init__(self, temperature: float, epsilon: float = 0.0, form: Form = "out") -> None:
        super().__init__(temperature=temperature, epsilon=epsilon, form=form)
        check_temperature("SupInfoNCE", temperature)
        require(
            0 <= epsilon < float("inf"),
            f"SupInfoNCE: epsilon must be at least 0 and finite, got {epsilon}.",
        )
        require(form in ("out", "in"), f'SupInfoNCE: form must be "out" or "in", got {form!r}.')

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of z (B, V, D) with labels (B,)."""
        return sup_info_nce(z, label=label, **self.settings)
