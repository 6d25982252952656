"""EnD: disentangle the rows of the same bias, entangle those of the same label and another bias.

With s the cosine, over pairs of distinct rows::

    alpha sum_b |sum of s over pairs of bias b| / (pairs of the same bias)
        + beta mean of (1 - s) / 2 over pairs of the same label and different bias

(Tartaglione, Barbano and Grangetto, EnD: Entangling and Disentangling deep representations for bias
correction, CVPR 2021, as its public code computes it.) A regulariser, as `FairKL` is; it concerns
first moments only, by sums of rows, without the matrix of pairs.

Differs from the released code: that one leaves out, of the pairs of the same label and different
bias, those whose later row has the larger bias; here all of them.

Paper: https://arxiv.org/abs/2103.02023
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.group_moments import grouped_rows, part_sums
from common.losses.loss import Loss
from common.losses.rows import check_groups, check_rows, finite_only_if

__all__ = ["EnD", "end"]


def end(z: Tensor, *, label: Tensor, bias: Tensor, alpha: float = 1.0, beta: float = 1.0) -> Tensor:
    """Compute EnD over the pairs of all ranks' rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        label: (B,) whole numbers from 0, the class of each subject.
        bias: (B,) whole numbers from 0, the bias (site, colour) of each subject.
        alpha: weight of the disentangling term, at least 0.
        beta: weight of the entangling term, at least 0.

    Returns:
        Scalar, the same on every rank, float32 or wider.

    >>> z = torch.eye(4).unsqueeze(1)  # all cosines 0
    >>> label, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    >>> float(end(z, label=label, bias=bias))
    0.5
    """
    check_rows("EnD", z)
    check_groups("EnD", "label", label, z)
    check_groups("EnD", "bias", bias, z)
    with torch.autocast(z.device.type, enabled=False):
        rows = grouped_rows(z, label, bias)
        cell, of_label, of_bias, _ = rows.partitions
        length = rows.rows.square().sum(dim=1)
        # sums over ordered pairs, of distinct rows or across cells
        within = part_sums(rows.rows, of_bias).square().sum(dim=1) - part_sums(length, of_bias)
        pairs = of_bias.bincount().square().sum() - len(length)
        disentangle = within.abs().sum() / pairs.clamp(min=1)
        across = part_sums(rows.rows, of_label).square().sum()
        across = across - part_sums(rows.rows, cell).square().sum()
        crossing = of_label.bincount().square().sum() - cell.bincount().square().sum()
        entangle = (crossing - across) / 2 / crossing.clamp(min=1)
        loss = alpha * disentangle + beta * entangle
        return finite_only_if(loss, rows.rows).to(torch.promote_types(z.dtype, torch.float32))


class EnD(Loss):
    """EnD, a regulariser; see `end`."""

    targets = ("label", "bias")

    def __init__(self, alpha: float = 1.0, beta: float = 1.0) -> None:
        super().__init__(alpha=alpha, beta=beta)
        for name, value in (("alpha", alpha), ("beta", beta)):
            require(
                0 <= value < float("inf"),
                f"EnD: {name} must be at least 0 and finite, got {value}.",
            )

    def forward(self, z: Tensor, label: Tensor, bias: Tensor) -> Tensor:
        """Compute the regulariser of z (B, V, D) with labels and biases (B,)."""
        return end(z, label=label, bias=bias, **self.settings)
