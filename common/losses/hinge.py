"""The hinge forms of the margin: rows of the same label closer than others, by epsilon at least.

For an anchor i, its positives p (the other rows of its label, the other views of its subject among
them) and its negatives j, s the cosine::

    "max"  l_i = 1/|P| sum_p max(0, max_j s_j - s_p + epsilon)
    "sum"  l_i = 1/|P| sum_p sum_j max(0, s_j - s_p + epsilon)

averaged over the B V anchors; one without positives or without negatives counts 0. Either is 0
where s_j - s_p <= -epsilon holds for all. The logarithm of a sum of exponentials in the place of
the first maximum makes epsilon-InfoNCE of "max" (Barbano et al., Unbiased Supervised Contrastive
Learning, ICLR 2023; talk 2023, slides 31 and 32, there with one positive).

Differs from the talk: its slide calls the sum a lower bound of the maximum, which it bounds from
above. No temperature: it would only scale the margin.

Paper: https://arxiv.org/abs/2211.05568
"""

from typing import Literal

import torch
from torch import Tensor

from common.checks import require
from common.losses.labelled import labelled_rows
from common.losses.loss import Loss
from common.losses.rows import check_groups, check_rows, finite_only_if
from common.losses.strips import strips_of, sum_over_strips

__all__ = ["Hinge", "hinge"]

Form = Literal["max", "sum"]


def hinge(z: Tensor, *, label: Tensor, epsilon: float = 0.0, form: Form = "max") -> Tensor:
    """Compute the hinge loss over all rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        label: (B,) whole numbers from 0, the class of each subject.
        epsilon: margin in units of the cosine, 0 to 2.
        form: of the nearest negative, or of each.

    Returns:
        Scalar, mean over this rank's anchors, float32 or wider.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all cosines 0: the margin is missed by itself
    >>> round(float(hinge(z, label=torch.tensor([0, 1]), epsilon=0.5)), 4)
    0.5
    """
    check_rows("Hinge", z)
    check_groups("Hinge", "label", label, z)
    with torch.autocast(z.device.type, enabled=False):
        rows = labelled_rows(z, label, 1.0)
        count = rows.positives.clamp(min=1).to(rows.bank.dtype)

        def of_strip(s: Tensor, count: Tensor, of: slice, columns: slice) -> Tensor:
            same = rows.anchor_label[of, None] == rows.bank_label[columns]
            negative = s.masked_fill(same, -torch.inf)
            itself = rows.position[of, None]
            missed = (
                _nearest(s, negative, epsilon) if form == "max" else _each(s, negative, epsilon)
            )
            kept = missed.where(same, 0).scatter(1, itself, 0)
            return (kept.sum(dim=1) / count).sum()

        everyone = slice(0, len(rows.bank))
        strips = strips_of(slice(0, len(rows.anchors)), everyone, z.device)
        loss = sum_over_strips(rows.anchors, rows.bank, count, strips, of_strip)
        loss = finite_only_if(loss / len(rows.anchors), rows.bank)
        return loss.to(torch.promote_types(z.dtype, torch.float32))


def _nearest(s: Tensor, negative: Tensor, epsilon: float) -> Tensor:
    """How far each row (n, m) as positive misses the margin to the nearest negative."""
    return (negative.amax(dim=1, keepdim=True) - s + epsilon).clamp(min=0)


def _each(s: Tensor, negative: Tensor, epsilon: float) -> Tensor:
    """The same, summed over the negatives: those above s - epsilon, by one sorted running sum."""
    ascending = negative.sort(dim=1).values
    bar = s - epsilon
    place = torch.searchsorted(ascending.detach(), bar.detach().contiguous(), right=True)
    # sums from a place to the end; 0 behind the last one
    finite = ascending.where(ascending != -torch.inf, 0)
    tail = finite.flip(1).cumsum(dim=1).flip(1)
    tail = torch.cat([tail, tail.new_zeros(len(tail), 1)], dim=1)
    above = s.shape[1] - place
    return tail.gather(1, place) - above * bar


class Hinge(Loss):
    """The hinge forms of the margin; see `hinge`."""

    targets = ("label",)

    def __init__(self, epsilon: float = 0.0, form: Form = "max") -> None:
        super().__init__(epsilon=epsilon, form=form)
        require(0 <= epsilon <= 2, f"Hinge: epsilon must be from 0 to 2, got {epsilon}.")
        require(form in ("max", "sum"), f'Hinge: form must be "max" or "sum", got {form!r}.')

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of z (B, V, D) with labels (B,)."""
        return hinge(z, label=label, **self.settings)
