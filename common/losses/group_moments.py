"""Sums over the pairs of the four groups that label and bias make, without the n^2 matrix.

A pair is positive (same label) or negative, and bias-aligned (same bias) or bias-conflicting. Let
a partition cut the rows into parts, ``S_g`` be the sum and ``Z_g`` the matrix of the rows of a
part, s the dot product. Over all ordered pairs within the parts, a row with itself included::

    sum s = sum_g |S_g|^2          sum s^2 = sum_g |Z_g^T Z_g|^2 = sum_g |Z_g Z_g^T|^2

so the sums over the groups follow, by inclusion and exclusion, from those over four partitions:
into cells of one label and one bias, into labels, into biases, and into one part. All in float64,
since the sums over groups are differences. Distances d of unit rows have ``d^2 = 2 - 2 s``; only
the sum of d itself needs the pairs, a tile at a time.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.distributed import gather
from common.losses.repulsion import tile_side
from common.losses.rows import unit_rows

__all__ = ["GroupedRows", "grouped_rows"]

_SAME_ROW = 1e-14  # a squared distance of unit rows below this is rounding


@dataclass(frozen=True)
class GroupedRows:
    """The unit rows of all ranks, sorted by label and then by bias.

    Attributes:
        rows: (n, D) float64, of length 1, or 0 where z was.
        label: (n,) ascending.
        bias: (n,) ascending within a label.
    """

    rows: Tensor
    label: Tensor
    bias: Tensor

    @cached_property
    def cell(self) -> Tensor:
        """The cell of each row (n,), ascending."""
        both = torch.stack([self.label, self.bias])
        cell: Tensor = torch.unique_consecutive(both, dim=1, return_inverse=True)[1]
        return cell

    @property
    def partitions(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Part of each row in the partitions: cells, labels, biases, one."""
        _, label = torch.unique(self.label, return_inverse=True)
        _, bias = torch.unique(self.bias, return_inverse=True)
        return self.cell, label, bias, torch.zeros_like(label)

    def counts(self) -> Tensor:
        """Ordered pairs (4,) in each group, a row with itself included."""
        return of_groups([part.bincount().double().square().sum() for part in self.partitions])

    def similarities(self) -> Tensor:
        """Sum of s (4,) over the pairs of each group, a row with itself included."""
        return of_groups([part_sums(self.rows, part).square().sum() for part in self.partitions])

    def squared_similarities(self) -> Tensor:
        """Sum of s^2 (4,) over the pairs of each group, a row with itself included."""
        size = self.rows.shape[1]
        cells = int(self.cell[-1]) + 1
        if cells * size > 2 * len(self.rows):
            return of_groups([_squares(self.rows, part) for part in self.partitions])
        blocks = torch.split(self.rows, self.cell.bincount().tolist())
        products = torch.stack([block.T @ block for block in blocks])
        starts = torch.cat([self.cell.new_tensor([True]), self.cell.diff()]).bool()
        parts = [part[starts] for part in self.partitions]
        return of_groups([part_sums(products, part).square().sum() for part in parts])

    def lengths(self) -> Tensor:
        """Sum of |z_i|^2 + |z_j|^2 (4,) over the pairs of each group, as above."""
        length = self.rows.square().sum(dim=1)
        return of_groups([2 * (length * p.bincount()[p]).sum() for p in self.partitions])

    def distances(self) -> Tensor:
        """Sum of the Euclidean distances (4,) over the pairs of each group."""
        tile = tile_side(self.rows.device)
        sums = _DistanceSums.apply(  # type: ignore[no-untyped-call]
            self.rows, self.label, self.bias, tile
        )
        return of_groups(list(sums))


def grouped_rows(z: Tensor, label: Tensor, bias: Tensor) -> GroupedRows:
    """Gather, scale and sort the rows of z (B, V, D) by label (B,) and bias (B,)."""
    views = z.shape[1]
    rows = gather(unit_rows(z.double()).flatten(0, 1))
    groups = torch.stack([label, bias], dim=1).to(z.device, torch.long)
    groups = gather(groups.repeat_interleave(views, dim=0))
    order = groups[:, 1].argsort(stable=True)
    order = order[groups[order, 0].argsort(stable=True)]
    return GroupedRows(rows[order], groups[order, 0], groups[order, 1])


def of_groups(sums: list[Tensor]) -> Tensor:
    """Turn sums over the pairs within cells, labels, biases and all rows into those of the groups.

    Returns:
        (4,): positive aligned, positive conflicting, negative aligned, negative conflicting.
    """
    cell, label, bias, everything = sums
    return torch.stack([cell, label - cell, bias - cell, everything - label - bias + cell])


def part_sums(x: Tensor, part: Tensor) -> Tensor:
    """Sum x (n, ...) over the rows of each part: (parts, ...)."""
    sums = x.new_zeros(int(part.max()) + 1, *x.shape[1:])
    return sums.index_add(0, part, x)


def _squares(rows: Tensor, part: Tensor) -> Tensor:
    """Sum of s^2 over the pairs within parts, by the smaller of the two products of each part."""
    blocks = torch.split(rows[part.argsort(stable=True)], part.bincount().tolist())
    products = [b @ b.T if len(b) < b.shape[1] else b.T @ b for b in blocks]
    return torch.stack([product.square().sum() for product in products]).sum()


class _DistanceSums(torch.autograd.Function):
    """Sum of distances over the pairs within cells, labels, biases and all rows."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, label: Tensor, bias: Tensor, tile: int) -> Tensor:
        total = rows.new_zeros(4)
        for above, side in _upper(len(rows), tile):
            distance = _distances(rows, above, side)
            in_label = distance * (label[above, None] == label[side])
            same_bias = bias[above, None] == bias[side]
            sums = [in_label * same_bias, in_label, distance * same_bias, distance]
            total += torch.stack([d.sum() for d in sums]) * (1 if above == side else 2)
        ctx.save_for_backward(rows, label, bias)
        ctx.tile = tile
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, label, bias = ctx.saved_tensors
        to_rows = torch.zeros_like(rows)
        of_cell, of_label, of_bias, of_all = gradient
        with torch.autocast(rows.device.type, enabled=False):
            for above, side in _upper(len(rows), ctx.tile):
                distance = _distances(rows, above, side)
                same_label = label[above, None] == label[side]
                same_bias = bias[above, None] == bias[side]
                # d distance / d s = -1 / distance; what it asks along the row itself, whose
                # length is fixed, comes to nothing
                slope = (same_label * of_cell + of_bias) * same_bias + same_label * of_label
                slope = -(slope + of_all) / distance.where(distance > 0, torch.inf)
                if above == side:
                    to_rows[above].addmm_(slope, rows[side], alpha=2)
                else:
                    to_rows[above].addmm_(slope, rows[side], alpha=2)
                    to_rows[side].addmm_(slope.T, rows[above], alpha=2)
        return to_rows, None, None, None


def _upper(n: int, tile: int) -> list[tuple[slice, slice]]:
    """The tiles on and above the diagonal."""
    cuts = [slice(start, min(start + tile, n)) for start in range(0, n, tile)]
    return [(above, side) for i, above in enumerate(cuts) for side in cuts[i:]]


def _distances(rows: Tensor, above: slice, side: slice) -> Tensor:
    """Distances of a tile of pairs, exactly 0 between equal rows."""
    lengths = rows[above].square().sum(dim=1)[:, None] + rows[side].square().sum(dim=1)
    square = lengths - 2 * (rows[above] @ rows[side].T)
    return square.where(square > _SAME_ROW, 0).sqrt_()
