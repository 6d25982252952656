"""A border around the image, and the whole shrunk to its size: the digit becomes smaller."""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.sampling import sample_axis

__all__ = ["pad"]


@transformation(
    size=1,
    moves_pixels=True,
    ends=("a border of {share[0]:.0%} of the side", "a border of {share[1]:.0%} of the side"),
)
def pad(x: Tensor, lam: Tensor, *, share: Sequence[float] = (0.1, 0.4)) -> Tensor:
    """Add a black border on every side and resize to the shape of `x`.

    The border is ``share[0] + lam (share[1] - share[0])`` of the side on each of its two ends, so
    the image shrinks about its centre by ``1 + 2 border``; in between pixels it is linear.

    Differs from the paper (No Free Lunch, B.2: "a padding of 10% to 40% of the image size"): there
    the padded image keeps its pixels until the crop is resized; here the shape never changes.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, 1)``.
        share: least and greatest border as a share of the side, 0 or more.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam` (almost everywhere).

    >>> pad(torch.ones(1, 1, 4, 4), torch.ones(1, 1), share=(0, 0.5))[0, 0, 1]
    tensor([0., 1., 1., 0.])
    """
    lam = checked_parameters("pad", x, lam, size=1)
    low, high = share
    require(0 <= low <= high, f"pad: share must be two rising values from 0, got {low} and {high}.")
    larger = 1 + 2 * (low + lam * (high - low))
    out = x.to(lam.dtype)
    for axis, side in enumerate(x.shape[2:]):
        middle = (side - 1) / 2
        pixels = torch.arange(side, device=lam.device, dtype=lam.dtype)
        out = sample_axis(out, (pixels - middle) * larger + middle, axis + 2)
    return out.to(x.dtype)
