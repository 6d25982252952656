"""SupCon with a margin: rows of the same label attract each other, all other rows repel.

For an anchor i, its positives p and t (the other rows of its label, the other views of its subject
among them) and its negatives n (the rows of other labels), s the cosine over the temperature::

    l_i = -1/|P| sum_p log( e^{s_p} / (sum_t e^{s_t - epsilon} + sum_n e^{s_n}) )

averaged over the B V anchors; an anchor without positives counts 0 in that mean. epsilon = 0 is
SupCon, "out" (Khosla et al., Supervised Contrastive Learning, 2020, Eq. 2); epsilon > 0 is
epsilon-SupCon (Barbano et al., Unbiased Supervised Contrastive Learning, ICLR 2023; talk 2023,
slide 43).

Differs from the paper: the slide's additive constant epsilon is left out, as in the released code;
the margin is subtracted after division by the temperature, as there. Differs from the released
code: no ``log(x + 1e-6)`` and no factor temperature / 0.07.

Papers: https://arxiv.org/abs/2004.11362, https://arxiv.org/abs/2211.05568
"""

import math

import torch
from torch import Tensor

from common.checks import require
from common.losses.labelled import label_weight, labelled_rows
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion
from common.losses.rows import check_groups, check_rows, check_temperature, finite_only_if

__all__ = ["SupCon", "sup_con"]

_LARGEST_MARGIN = 20.0


def sup_con(z: Tensor, *, label: Tensor, temperature: float, epsilon: float = 0.0) -> Tensor:
    """Compute SupCon over all rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        label: (B,) whole numbers from 0, the class of each subject.
        temperature: divides the cosines, at least 0.002.
        epsilon: margin, 0 to 20, in units of cosine / temperature.

    Returns:
        Scalar, mean over this rank's anchors, float32 or wider.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all cosines 0: log(3)
    >>> round(float(sup_con(z, label=torch.tensor([0, 1]), temperature=0.5)), 4)
    1.0986
    """
    check_temperature("SupCon", temperature)
    check_rows("SupCon", z)
    check_groups("SupCon", "label", label, z)
    with torch.autocast(z.device.type, enabled=False):
        rows = labelled_rows(z, label, temperature)
        weight = label_weight(rows, same=math.exp(-epsilon), other=1.0)
        repulsion = log_repulsion(rows.anchors, rows.bank, weight)
        loss = (repulsion - rows.attraction()).where(rows.positives > 0, 0).mean()
        return finite_only_if(loss, rows.bank).to(torch.promote_types(z.dtype, torch.float32))


class SupCon(Loss):
    """SupCon, with an optional margin; see `sup_con`."""

    targets = ("label",)

    def __init__(self, temperature: float, epsilon: float = 0.0) -> None:
        super().__init__(temperature=temperature, epsilon=epsilon)
        check_temperature("SupCon", temperature)
        require(
            0 <= epsilon <= _LARGEST_MARGIN,
            f"SupCon: epsilon must be from 0 to {_LARGEST_MARGIN:.0f}, got {epsilon}.",
        )

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Compute the loss of z (B, V, D) with labels (B,)."""
        return sup_con(z, label=label, **self.settings)
