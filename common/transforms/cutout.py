"""Cutout: a box of zeros, the augmentation of y-aware (Dufumier et al. 2021) and OpenBHB."""

from torch import Tensor

from common.checks import require
from common.transforms.arguments import box, checked_parameters
from common.transforms.declaration import transformation

__all__ = ["cutout"]


@transformation(size="axes", moves_pixels=True, ends=("box at the start", "box at the end"))
def cutout(x: Tensor, lam: Tensor, *, size: float = 0.25) -> Tensor:
    """Set a box of `size` of each side to 0, which is the mean of a standardised image.

    The box is ``round(size side)`` pixels long (at least 1) and always whole; `lam` is its place:
    ``lam = 0`` and ``lam = 1`` lie flush with the two borders, ``lam = 0.5`` in the middle. Its
    first pixel is ``floor(lam (side - length + 1))``, so a uniform `lam` makes every place equally
    likely. There is no identity value.

    Differs from the released code of y-aware: nothing known (`size` is a quarter there).

    Args:
        x: images ``(B, C, *spatial)``.
        lam: place of the box along each axis in [0, 1], ``(B, 2)`` in 2D, ``(B, 3)`` in 3D.
        size: length of the box as a share of each side, in (0, 1].

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0,
        because the box moves by whole pixels.

    >>> import torch
    >>> cutout(torch.ones(1, 1, 4, 4), torch.tensor([[0.0, 0.5]]), size=0.5)[0, 0, 1].tolist()
    [1.0, 0.0, 0.0, 1.0]
    """
    lam = checked_parameters("cutout", x, lam, size=None)
    require(0 < size <= 1, f"cutout: size must be in (0, 1], got {size}.")
    lengths = [max(1, round(size * side)) for side in x.shape[2:]]
    out = x.clone()
    out[box(x, lam, lengths)] = 0
    return out
