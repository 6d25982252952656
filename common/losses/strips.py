"""A sum over anchors of a function of each one's whole row of similarities, strip by strip.

Where the set in the denominator depends on the positive, or follows from an order of the row, the
loss is not one logarithm per anchor, and `common.losses.repulsion` does not apply. Here a strip of
rows of the matrix of similarities lives at a time: the loss of its anchors is written in plain
operations, autograd differentiates it at once with respect to the strip, and the strip is folded
into the gradient of the rows. What is kept for the backward pass is that gradient, as large as the
rows themselves, so memory is linear in the batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.losses.repulsion import tile_side

__all__ = ["RowLoss", "Strip", "strips_of", "sum_over_strips"]

#: rows and columns of a strip of pairs
Strip = tuple[slice, slice]
#: (s (rows, columns), a value per anchor (rows,), rows, columns) -> the sum of the rows' losses
RowLoss = Callable[[Tensor, Tensor, slice, slice], Tensor]


def strips_of(rows: slice, columns: slice, device: torch.device, multiple: int = 1) -> list[Strip]:
    """Cut a block of pairs into strips of whole rows, each as large as a tile at most.

    Args:
        rows: anchors of the block.
        columns: bank rows of the block.
        device: where they are, which decides how many pairs are held at a time.
        multiple: a strip begins and ends at a multiple of so many anchors (a subject's views).
    """
    width = max(columns.stop - columns.start, 1)
    height = max(tile_side(device) ** 2 // width // multiple, 1) * multiple
    return [
        (slice(top, min(top + height, rows.stop)), columns)
        for top in range(rows.start, rows.stop, height)
    ]


def sum_over_strips(
    anchors: Tensor, bank: Tensor, per_anchor: Tensor, strips: Sequence[Strip], loss: RowLoss
) -> Tensor:
    """Sum ``loss(s[strip], per_anchor[rows], rows, columns)`` over strips, differentiably.

    Args:
        anchors: (n, D) from `common.losses.rows.scaled_rows`.
        bank: (m, D) likewise.
        per_anchor: (n,) anything an anchor's loss needs beside its similarities.
        strips: see `strips_of`; an anchor may be in none.
        loss: differentiable in its first two arguments.

    Returns:
        Scalar. Differentiable once in `anchors`, `bank` and `per_anchor`.
    """
    if len(strips) == 1:
        rows, columns = strips[0]
        return loss(torch.mm(anchors[rows], bank[columns].T), per_anchor[rows], rows, columns)
    result: Tensor = _SumOverStrips.apply(  # type: ignore[no-untyped-call]
        anchors, bank, per_anchor, strips, loss
    )
    return result


class _SumOverStrips(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        anchors: Tensor,
        bank: Tensor,
        per_anchor: Tensor,
        strips: Sequence[Strip],
        loss: RowLoss,
    ) -> Tensor:
        wanted = any(ctx.needs_input_grad)
        to_anchors, to_bank, to_extra = (torch.zeros_like(t) for t in (anchors, bank, per_anchor))
        total = anchors.new_zeros(())
        for rows, columns in strips:
            s = torch.mm(anchors[rows], bank[columns].T).requires_grad_(wanted)
            extra = per_anchor[rows].detach().requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                value = loss(s, extra, rows, columns)
            total += value.detach()
            if wanted and value.requires_grad:
                slope, slope_extra = torch.autograd.grad(value, (s, extra), materialize_grads=True)
                to_anchors[rows].addmm_(slope, bank[columns])
                to_bank[columns].addmm_(slope.T, anchors[rows])
                to_extra[rows] += slope_extra
        ctx.save_for_backward(to_anchors, to_bank, to_extra)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        to_anchors, to_bank, to_extra = ctx.saved_tensors
        return gradient * to_anchors, gradient * to_bank, gradient * to_extra, None, None
