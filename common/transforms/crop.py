"""Crop of Ruppli et al. 2022, Table 1: a soft window, not a resize."""

import math

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation

__all__ = ["crop"]


@transformation(size="axes", moves_pixels=True, ends=("centre at the start", "centre at the end"))
def crop(x: Tensor, lam: Tensor, *, half_width: float | None = None, slope: float = 1.0) -> Tensor:
    """Return ``X(x) S(s/8 - ||x - c||_inf)`` with centre ``c = lam s`` and S the sigmoid.

    x and c are in pixels, pixel i having the coordinate i, so the edge fades over a few pixels.
    The window side is s/4: a 2D image keeps one sixteenth of its area, and a centre at the border
    (lam near 0 or 1) keeps less. There is no identity value.

    Differs from the paper: nothing for square images. It does not treat others; here s is, for
    each axis, that axis' own side, both in the centre and in the half width.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: centre of the window as a share of each side, ``(B, 2)`` in 2D, ``(B, 3)`` in 3D.
        half_width: half the side of the window in pixels; None is an eighth of each axis' side.
        slope: steepness of the sigmoid in 1/pixel.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> crop(torch.ones(1, 1, 8, 8), torch.tensor([[0.5, 0.5]]))[0, 0, 4, 4:6]
    tensor([0.7311, 0.5000])
    """
    lam = checked_parameters("crop", x, lam, size=None)
    require(
        half_width is None or 0 < half_width < math.inf,
        f"crop: half_width must be positive and finite, or null, got {half_width}.",
    )
    require(0 < slope < math.inf, f"crop: slope must be positive and finite, got {slope}.")
    mask = x.new_ones((), dtype=lam.dtype)
    for axis, side in enumerate(x.shape[2:]):
        pixels = torch.arange(side, device=lam.device, dtype=lam.dtype)
        half = side / 8 if half_width is None else half_width
        inside = half - (pixels - lam[:, axis : axis + 1] * side).abs()
        # S grows, so S(half - max_axis |x - c|) = min_axis S(half - |x - c|)
        shape = [1] * x.dim()
        shape[0], shape[axis + 2] = x.shape[0], side
        profile = torch.sigmoid(slope * inside).reshape(shape)
        mask = torch.where(profile < mask, profile, mask)
    return x * mask.to(x.dtype)
