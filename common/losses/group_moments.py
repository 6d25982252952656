"""Sums over the pairs of the four groups that label and bias make, without the n^2 matrix.

A pair is positive (same label) or negative, and bias-aligned (same bias) or bias-conflicting. Let
a partition cut the rows into parts, ``S_g`` be the sum and ``Z_g`` the matrix of the rows of a
part, s the dot product. Over all ordered pairs within the parts, a row with itself included::

    sum s = sum_g |S_g|^2          sum s^2 = sum_g |Z_g^T Z_g|^2 = sum_g |Z_g Z_g^T|^2

so the sums over the groups follow, by inclusion and exclusion, from those over four partitions:
into cells of one label and one bias, into labels, into biases, and into one part. All in float64,
since the sums over groups are differences. Distances d of unit rows have ``d^2 = 2 - 2 s``; only
the sum of d itself needs the pairs, a tile at a time. (A batch no larger than a tile is quicker by
the matrix of pairs: `common.losses.group_pairs`.)
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.distributed import gather
from common.losses.repulsion import tile_side
from common.losses.rows import scaled_rows

__all__ = ["GroupedRows", "gathered_rows", "grouped_rows"]

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
        new = (self.label.diff() != 0) | (self.bias.diff() != 0)
        cell = torch.cat([self.label.new_zeros(1), new.cumsum(0)])
        return cell

    @cached_property
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
        cells, size = int(self.cell[-1]) + 1, self.rows.shape[1]
        if cells * size > 2 * len(self.rows):
            return of_groups([_squares(self.rows, part) for part in self.partitions])
        blocks = torch.split(self.rows, self.cell.bincount().tolist())
        products = torch.stack([block.T @ block for block in blocks]).flatten(1)
        first = self._first_of_cells()
        sums = [products.square().sum()]
        for part in self.partitions[1:]:
            members = part[first] == torch.arange(int(part.max()) + 1, device=part.device)[:, None]
            sums.append((members.to(products.dtype) @ products).square().sum())
        return of_groups(sums)

    def lengths(self) -> Tensor:
        """Sum of |z_i|^2 + |z_j|^2 (4,) over the pairs of each group, as above."""
        length = self.rows.square().sum(dim=1)
        return of_groups([2 * (length * p.bincount()[p]).sum() for p in self.partitions])

    def distances(self) -> Tensor:
        """Sum of the Euclidean distances (4,) over the pairs of each group."""
        first = self._first_of_cells()
        groups = torch.stack([self.label[first], self.bias[first]])
        sums = _Distances.apply(  # type: ignore[no-untyped-call]
            self.rows, self.cell, groups, tile_side(self.rows.device)
        )
        return of_groups(list(sums))

    def _first_of_cells(self) -> Tensor:
        return torch.cat([self.cell.new_tensor([True]), self.cell.diff()]).bool()


def grouped_rows(z: Tensor, label: Tensor, bias: Tensor) -> GroupedRows:
    """Gather, scale and sort the rows of z (B, V, D) by label (B,) and bias (B,)."""
    rows, groups = gathered_rows(z.double(), label, bias)
    order = groups[:, 1].argsort(stable=True)
    order = order[groups[order, 0].argsort(stable=True)]
    label, bias = groups[order].unbind(dim=1)
    return GroupedRows(rows.index_select(0, order), label, bias)


def gathered_rows(z: Tensor, label: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The unit rows (n, D) of all ranks, and the label and the bias of each (n, 2)."""
    rows = gather(scaled_rows(z, 1.0).flatten(0, 1))
    groups = torch.stack([label, bias], dim=1).to(z.device, torch.long)
    return rows, gather(groups.repeat_interleave(z.shape[1], dim=0))


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


class _Distances(torch.autograd.Function):
    """Sum the distances of the pairs within each of the partitions, tile by tile."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, cell: Tensor, groups: Tensor, tile: int) -> Tensor:
        total = rows.new_zeros(4)
        for above, side in _upper(len(rows), tile):
            pairs = _pairs(rows, above, side)
            of_row, of_column = _own_cells(cell, above), _own_cells(cell, side)
            sums = part_sums(part_sums(pairs, of_row).T, of_column).T  # by the cells of the two
            within = torch.stack([(sums * same).sum() for same in _same(cell, groups, above, side)])
            total += within if above == side else 2 * within
        ctx.save_for_backward(rows, cell, groups, *([pairs] if len(rows) <= tile else []))
        ctx.tile = tile
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, cell, groups, *kept = ctx.saved_tensors
        to_rows = torch.zeros_like(rows)
        with torch.autocast(rows.device.type, enabled=False):
            for above, side in _upper(len(rows), ctx.tile):
                pairs = kept[0] if kept else _pairs(rows, above, side)
                same = _same(cell, groups, above, side)
                asked = 2 * sum(g * within for g, within in zip(gradient, same))  # in both orders
                of_row, of_column = _own_cells(cell, above), _own_cells(cell, side)
                slope = asked[of_row].index_select(1, of_column)
                # d distance / d s = -1 / distance; what it asks along a row itself, whose length
                # is fixed, comes to nothing
                slope.div_(pairs).masked_fill_(pairs == 0, 0).neg_()
                to_rows[above].addmm_(slope, rows[side])
                if above != side:
                    to_rows[side].addmm_(slope.T, rows[above])
        return to_rows, None, None, None


def _own_cells(cell: Tensor, rows: slice) -> Tensor:
    """Cells of a run of rows, counted from the first of them."""
    return cell[rows] - cell[rows.start]


def _same(cell: Tensor, groups: Tensor, above: slice, side: slice) -> list[Tensor]:
    """Which cells of two runs of rows lie in one part, for each of the partitions."""
    a, b = (groups[:, int(cell[r.start]) : int(cell[r.stop - 1]) + 1] for r in (above, side))
    label, bias = a[:, :, None] == b[:, None]
    return [label & bias, label, bias, torch.ones_like(label)]


def _upper(n: int, tile: int) -> list[tuple[slice, slice]]:
    """The tiles on and above the diagonal."""
    cuts = [slice(start, min(start + tile, n)) for start in range(0, n, tile)]
    return [(above, side) for i, above in enumerate(cuts) for side in cuts[i:]]


def _pairs(rows: Tensor, above: slice, side: slice) -> Tensor:
    """Distances of a tile of pairs, exactly 0 between equal rows."""
    a, b = rows[above], rows[side]
    length_a, length_b = (x.square().sum(dim=1, keepdim=True) for x in (a, b))
    # |a|^2 + |b|^2 - 2 <a, b> as one product
    left = torch.cat([-2 * a, length_a, torch.ones_like(length_a)], dim=1)
    right = torch.cat([b, torch.ones_like(length_b), length_b], dim=1)
    square = torch.mm(left, right.T)
    return square.masked_fill_(square < _SAME_ROW, 0).sqrt_()
