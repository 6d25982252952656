"""Gaussian blur with a width of its own along each axis, as TorchIO's RandomBlur."""

import math

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.resample import filtered

__all__ = ["axis_blur"]

SMALLEST_SIGMA = 1e-2  # pixels; a Gaussian this narrow has a single weight
TRUNCATE = 4.0  # standard deviations, as scipy.ndimage.gaussian_filter


@transformation(size="axes", moves_pixels=False, ends=("0 px", "{max_sigma:g} px"))
def axis_blur(x: Tensor, lam: Tensor, *, max_sigma: float = 2.0) -> Tensor:
    """Return ``X`` convolved with a Gaussian of ``sigma = lam max_sigma`` pixels, axis by axis.

    That is `scipy.ndimage.gaussian_filter`, which TorchIO's `RandomBlur` calls with the spacing of
    a picture, 1: each Gaussian is cut at ``floor(4 sigma + 1/2)`` pixels, its weights sum to 1, and
    the image is reflected at the border. So a `max_sigma` below 1/8 is the identity: TorchIO's
    blur of standard deviation 0.1 pixel changes nothing. `common.transforms.blur` is the blur with
    one width for all axes.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: width along each axis as a share of `max_sigma`, ``(B, 2)`` in 2D, ``(B, 3)`` in 3D.
        max_sigma: standard deviation in pixels at ``lam = 1``, at least 0.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and, but where a Gaussian gains
        a pixel, in `lam`.
    """
    lam = checked_parameters("axis_blur", x, lam, size=None)
    require(
        0 <= max_sigma < math.inf,
        f"axis_blur: max_sigma must be at least 0 and finite, got {max_sigma}.",
    )
    radius = int(TRUNCATE * max_sigma + 0.5)
    if radius == 0:
        return x
    offsets = torch.arange(-radius, radius + 1, device=lam.device, dtype=lam.dtype)
    out = x.to(lam.dtype)
    for axis in reversed(range(x.dim() - 2)):
        side = x.shape[axis + 2]
        sigma = lam[:, axis : axis + 1] * max_sigma
        inside = offsets.abs() <= (TRUNCATE * sigma + 0.5).floor()
        weight = torch.exp(-0.5 * (offsets / sigma.clamp(min=SMALLEST_SIGMA)) ** 2) * inside
        place = torch.arange(side, device=lam.device)[:, None] + offsets.long()
        mirrored = torch.minimum(place % (2 * side), (-1 - place) % (2 * side))
        out = filtered(out, mirrored, weight / weight.sum(dim=1, keepdim=True), axis + 2)
    return out.to(x.dtype)
