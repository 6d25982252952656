"""Random crop of a fixed size, resized back to the whole: the augmentation of y-aware."""

from torch import Tensor
from torch.nn import functional

from common.checks import require
from common.transforms.arguments import box, checked_parameters
from common.transforms.declaration import transformation

__all__ = ["crop_resize"]


@transformation(size="axes", moves_pixels=True, ends=("box at the start", "box at the end"))
def crop_resize(x: Tensor, lam: Tensor, *, size: float = 0.75) -> Tensor:
    """Return a box of `size` of each side, enlarged to the whole image.

    The box is ``round(size side)`` pixels long (at least 1) and never leaves the image; `lam` is
    its place: ``lam = 0`` and ``lam = 1`` lie flush with the two borders, ``lam = 0.5`` in the
    middle. Its first pixel is ``floor(lam (side - length + 1))``, so a uniform `lam` makes every
    place equally likely. ``size = 1`` is the identity. Pixels in between are (tri)linear.

    Differs from the released code of y-aware (Dufumier et al. 2021): nothing known.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: place of the box along each axis in [0, 1], ``(B, 2)`` in 2D, ``(B, 3)`` in 3D.
        size: length of the box as a share of each side, in (0, 1].

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0,
        because the box moves by whole pixels. `affine` places and enlarges with a gradient.

    >>> import torch
    >>> crop_resize(torch.arange(4.0).expand(1, 1, 4, 4), torch.ones(1, 2), size=0.5)[0, 0, 0]
    tensor([2.0000, 2.2500, 2.7500, 3.0000])
    """
    lam = checked_parameters("crop_resize", x, lam, size=None)
    require(0 < size <= 1, f"crop_resize: size must be in (0, 1], got {size}.")
    lengths = [max(1, round(size * side)) for side in x.shape[2:]]
    *places, last = box(x, lam, lengths)
    rows = x[tuple(place.squeeze(-1) for place in places)]  # whole rows first: four times as fast
    cut = rows.gather(-1, last.expand(*rows.shape[:-1], -1))
    out = functional.interpolate(
        cut.to(lam.dtype), x.shape[2:], mode="bilinear" if x.dim() == 4 else "trilinear"
    )
    return out.to(x.dtype)
