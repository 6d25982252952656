"""Random crop of a fixed size, resized back to the whole: the augmentation of y-aware."""

from torch import Tensor, arange

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.sampling import sample_axis

__all__ = ["crop_resize"]


def crop_resize(x: Tensor, lam: Tensor, *, size: float = 0.75) -> Tensor:
    """Return a box of `size` of each side, enlarged to the whole image.

    The box starts at ``lam (1 - size)`` of each side: ``lam = 0`` and ``lam = 1`` lie flush with
    the two borders, ``lam = 0.5`` in the middle; it never leaves the image. ``size = 1`` is the
    identity for every `lam`. Pixels in between are linear; beyond the first and last pixel
    centre of the image, where a box at the border begins, the border pixel goes on.

    Differs from the released code of y-aware (Dufumier et al. 2021): there a box starts at whole
    pixels, ours anywhere between, so that there is a gradient in `lam`; at the edge of a box
    inside the image ours sees the pixel beyond, theirs repeats the last one.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: place of the box along each axis in [0, 1], ``(B, 2)`` in 2D, ``(B, 3)`` in 3D.
        size: share of each side that is kept, in (0, 1].

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and in `lam` (almost
        everywhere: linear interpolation has a kink at every pixel centre).

    >>> import torch
    >>> crop_resize(torch.arange(4.0).expand(1, 1, 4, 4), torch.ones(1, 2), size=0.5)[0, 0, 0]
    tensor([1.7500, 2.2500, 2.7500, 3.0000])
    """
    lam = checked_parameters("crop_resize", x, lam, size=None)
    require(0 < size <= 1, f"crop_resize: size must be in (0, 1], got {size}.")
    out = x.to(lam.dtype)
    for axis, side in enumerate(x.shape[2:]):
        pixels = arange(side, device=lam.device, dtype=lam.dtype)
        start = lam[:, axis : axis + 1] * (side * (1 - size))
        source = start + size * (pixels + 0.5) - 0.5
        out = sample_axis(out, source.clamp(0, side - 1), axis + 2)
    return out.to(x.dtype)
