"""Gaussian blur of Ruppli et al. 2022, Table 1, with one width per image."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.resample import filtered

__all__ = ["blur"]

SMALLEST_SIGMA = 1e-2
SHORT_TAPS = 7  # (max_sigma up to 1) up to this length it is faster not to move the axes


@transformation(size=1, moves_pixels=False, ends=("{min_sigma:g} px", "{max_sigma:g} px"))
def blur(
    x: Tensor,
    lam: Tensor,
    *,
    max_sigma: float = 2.0,
    min_sigma: float = 0.0,
    border: str = "zeros",
) -> Tensor:
    """Return ``g_sigma * X`` with ``sigma = min_sigma + lam (max_sigma - min_sigma)`` pixels.

    By default ``lam = 0`` is the identity; ``lam = 1`` is a Gaussian of `max_sigma` pixels along
    every axis. Another `min_sigma` is for a range such as y-aware's 0.1 to 1 voxel, or DINO's 0.1
    to 2 pixels, which goes with ``border="edge"``. (DINO blurs with Pillow, whose filter is three
    box filters of nearly the same width.)

    Differs from the paper: the truncation and the border are not stated there; ours cuts the
    Gaussian at ``ceil(3 max_sigma)`` pixels, makes its weights sum to 1, pads with zeros (black
    background) and keeps sigma at 0.01 pixel or more, where it is the identity already; below
    that the gradient in `lam` is 0.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: place between the two widths ``(B, 1)`` in [0, 1].
        max_sigma: standard deviation in pixels at ``lam = 1``.
        min_sigma: standard deviation in pixels at ``lam = 0``.
        border: what lies outside the image: "zeros", or "edge", its nearest pixel.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> blur(torch.eye(3)[None, None], torch.zeros(1, 1))[0, 0, 1]
    tensor([0., 1., 0.])
    """
    lam = checked_parameters("blur", x, lam, size=1)
    require(
        0 < max_sigma < math.inf, f"blur: max_sigma must be positive and finite, got {max_sigma}."
    )
    require(
        0 <= min_sigma <= max_sigma,
        f"blur: min_sigma must be between 0 and max_sigma = {max_sigma}, got {min_sigma}.",
    )
    require(border in ("zeros", "edge"), f"blur: border must be zeros or edge, got {border!r}.")
    radius = math.ceil(3 * max_sigma)
    offsets = torch.arange(-radius, radius + 1, device=lam.device, dtype=lam.dtype)
    sigma = (min_sigma + lam * (max_sigma - min_sigma)).clamp(min=SMALLEST_SIGMA)
    weights = torch.softmax(-0.5 * (offsets / sigma) ** 2, dim=1)  # (B, 2 radius + 1)
    with torch.autocast(x.device.type, enabled=False):
        out = x.to(lam.dtype)
        if border == "edge":
            for dim in range(x.dim() - 1, 1, -1):  # this order ends contiguous
                places = torch.arange(x.shape[dim], device=x.device)[:, None] + offsets.long()
                out = filtered(out, places.clamp(0, x.shape[dim] - 1), weights, dim)
        elif weights.shape[1] <= SHORT_TAPS:
            for dim in range(2, x.dim()):
                out = _convolved_unmoved(out, weights, dim)
        else:
            for dim in (x.dim() - 1, *range(2, x.dim() - 1)):  # this order ends contiguous
                out = _convolved(out, weights, dim)
    return out.to(x.dtype)


def _convolved(x: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Convolve axis `dim` of ``x (B, C, *spatial)`` with ``weights (B, taps)`` of each image.

    The axis comes second to last and all axes before it become the channels of one image, each
    with its own column-shaped filter: the fastest form measured for long filters, for every axis
    (13 taps along the last axis itself take 7 times as long).
    """
    moved = x.movedim(dim, -2)
    side, last = moved.shape[-2:]
    channels = moved[..., 0, 0].numel()
    taps = weights.shape[1]
    filters = weights[:, None].expand(-1, channels // x.shape[0], -1).reshape(channels, 1, taps, 1)
    flat = moved.reshape(1, channels, side, last)
    out = functional.conv2d(flat, filters, padding=(taps // 2, 0), groups=channels)
    return out.reshape(moved.shape).movedim(-2, dim)


def _convolved_unmoved(x: Tensor, weights: Tensor, dim: int) -> Tensor:
    """Do the same without moving the axis, for short filters: less than half the time in 3D.

    The axes before `dim` become channels and those after it one row; the last axis is itself that
    row and has a row-shaped filter.
    """
    last = dim == x.dim() - 1
    channels = math.prod(x.shape[: dim - 1] if last else x.shape[:dim])
    taps = weights.shape[1]
    shape = (1, taps) if last else (taps, 1)
    filters = weights[:, None].expand(-1, channels // len(x), -1).reshape(channels, 1, *shape)
    flat = x.reshape(1, channels, x.shape[dim - 1 if last else dim], -1)
    padding = tuple(length // 2 for length in shape)
    return functional.conv2d(flat, filters, padding=padding, groups=channels).reshape(x.shape)
