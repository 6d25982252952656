"""An exact mirror image along an axis that the parameter picks."""

from collections.abc import Sequence

from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation

__all__ = ["mirror"]


@transformation(size=1, moves_pixels=True, ends=("first axis", "last axis"))
def mirror(x: Tensor, lam: Tensor, *, axes: Sequence[int] | None = None) -> Tensor:
    """Reverse one of `axes`; `lam` picks which, in equal shares of [0, 1].

    With one axis `lam` does not matter: whether an image is mirrored at all is the policy's to
    say. `flip` is the other mirror, which blends and has a gradient. There is no identity value.

    Differs from the released code of y-aware (Dufumier et al. 2021): nothing in the default of
    any spatial axis; there the draw may also fall on the channel axis, which changes nothing.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, 1)`` in [0, 1].
        axes: spatial axes counted from 0 to choose from; None is all of them. A NIfTI volume in
            the usual orientation has left-right as axis 0.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0.

    >>> import torch
    >>> mirror(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[0.9]]))
    tensor([[[[2., 1.]]]])
    """
    lam = checked_parameters("mirror", x, lam, size=1)
    choices = list(range(x.dim() - 2)) if axes is None else list(axes)
    require(
        len(choices) > 0 and all(0 <= axis < x.dim() - 2 for axis in choices),
        f"mirror: axes must be spatial axes 0 to {x.dim() - 3}, got {choices}. Axes count from "
        "the first spatial one.",
    )
    if len(choices) == 1:
        return x.flip(choices[0] + 2)
    picked = (lam[:, 0] * len(choices)).long().clamp(0, len(choices) - 1)
    out = x.new_empty(x.shape)  # every row is in one of the groups below, whatever lam is
    for index, axis in enumerate(choices):
        rows = (picked == index).nonzero().squeeze(1)
        out.index_copy_(0, rows, x.index_select(0, rows).flip(axis + 2))
    return out
