"""Sums over the pairs of the four groups that label and bias make, from the matrix of pairs.

What `common.losses.group_moments` finds without that matrix, for a batch whose rows fit in a tile:
one product of matrices and four sums take less time there than the many small steps of cells and
parts. A pair is positive (same label) or negative, and bias-aligned (same bias) or conflicting.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.losses.group_moments import gathered_rows
from common.losses.repulsion import differ, equal

__all__ = ["PairedRows", "paired_rows"]


@dataclass(frozen=True)
class PairedRows:
    """The unit rows of all ranks, all their pairs at once.

    Attributes:
        rows: (n, D) float32 or float64, of length 1, or 0 where z was.
        groups: (4, n, n) 1 where a pair is positive aligned, positive conflicting, negative
            aligned, negative conflicting, else 0; a row with itself is positive aligned.
    """

    rows: Tensor
    groups: Tensor

    def counts(self) -> Tensor:
        """Ordered pairs (4,) in each group, a row with itself included."""
        return self.groups.sum(dim=(1, 2)).double()

    def similarities(self) -> Tensor:
        """Sum of s (4,) over the pairs of each group, a row with itself included."""
        return self._sums[0]

    def squared_similarities(self) -> Tensor:
        """Sum of s^2 (4,) over the pairs of each group, a row with itself included."""
        return self._sums[1]

    @cached_property
    def _sums(self) -> Tensor:
        sums: Tensor = _Sums.apply(self.rows, self.groups)  # type: ignore[no-untyped-call]
        return sums.double()


def paired_rows(z: Tensor, label: Tensor, bias: Tensor) -> PairedRows:
    """Gather and scale the rows of z (B, V, D), pair them by label (B,) and bias (B,)."""
    rows, groups = gathered_rows(z, label, bias)
    # counted from 0, so that floats tell them apart
    a, b = (torch.unique(group, return_inverse=True)[1] for group in groups.unbind(dim=1))
    pairs = rows.new_empty(2, 2, len(rows), len(rows))
    pairs[0] = equal(a, a, rows.dtype)
    pairs[1] = differ(a, a, rows.dtype)
    pairs[:, 0] *= equal(b, b, rows.dtype)
    pairs[:, 1] *= differ(b, b, rows.dtype)
    return PairedRows(rows, pairs.flatten(0, 1))


class _Sums(torch.autograd.Function):
    """Sum s and s^2 over the pairs of each group: (2, 4)."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, groups: Tensor) -> Tensor:
        s = torch.mm(rows, rows.T)
        ctx.save_for_backward(rows, groups, s)
        sums = []
        for group in groups:
            within = group * s
            sums += [within.sum(), within.square_().sum()]
        return torch.stack(sums).view(4, 2).T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, groups, s = ctx.saved_tensors
        with torch.autocast(rows.device.type, enabled=False):
            of_pairs = groups.flatten(1).T
            slope = torch.mv(of_pairs, gradient[1]).mul_(s.view(-1)).mul_(2)  # d/ds_ij
            slope.addmv_(of_pairs, gradient[0])
            return torch.mm(slope.mul_(2).view_as(s), rows), None  # s_ij is s_ji
