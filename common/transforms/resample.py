"""Resampling along one axis to another number of pixels, with a place and a scale for each image.

The weights are those of Pillow's `Image.resize` with a box: a kernel around the place each new
pixel comes from, cut at the border of the image and divided by its sum; with antialiasing it is
widened by the scale where the image shrinks.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["KERNELS", "filtered", "resampled"]


def resampled(
    x: Tensor, start: Tensor, step: Tensor, size: int, largest: float, kernel: str, antialias: bool
) -> Tensor:
    """Resample the rows: second to last axis of `x`.

    Args:
        x: images ``(B, C, side, W)``.
        start: ``(B, 1)``, the edge of each box in pixels from the edge of the image.
        step: ``(B, 1)``, old pixels for each new one.
        size: new pixels.
        largest: no step is greater.
        kernel: key of `KERNELS`.
        antialias: whether the kernel widens with a step above 1.

    Returns:
        ``(B, C, size, W)``, differentiable in `x`, `start` and `step`.
    """
    side = x.shape[2]
    reach, weigh = KERNELS[kernel]
    wider = step.clamp(min=1) if antialias else torch.ones_like(step)
    taps = 2 * math.ceil(reach * (max(largest, 1) if antialias else 1)) + 1
    centre = start + step * (torch.arange(size, device=x.device, dtype=step.dtype) + 0.5)
    first = (centre.detach() - reach * wider.detach() + 0.5).floor()
    pixels = first[:, :, None] + torch.arange(taps, device=x.device, dtype=step.dtype)
    weight = weigh((pixels + 0.5 - centre[:, :, None]) / wider[:, :, None])
    weight = weight * ((pixels >= 0) & (pixels < side))
    weight = weight / weight.sum(dim=2, keepdim=True)
    return _weighted_rows(x, pixels.clamp(0, side - 1).long(), weight)


def _weighted_rows(x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Return ``sum_k weight[b, i, k] x[b, c, index[b, i, k], :]``.

    A row of an image is what a row of an embedding table is to `embedding_bag`, which adds
    weighted rows at the speed of memory.

    Args:
        x: images ``(B, C, side, W)``.
        index: ``(B, size, taps)``, integer.
        weight: likewise.

    Returns:
        ``(B, C, size, W)``, differentiable in `x` and `weight`.
    """
    batch, channels, side, width = x.shape
    size, taps = index.shape[1:]
    planes = torch.arange(batch * channels, device=x.device).reshape(batch, channels, 1, 1) * side
    rows = (planes + index[:, None]).reshape(-1, taps)
    weights = weight[:, None].expand(-1, channels, -1, -1).reshape(-1, taps)
    table = x.reshape(-1, width)
    out = functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights)
    return out.reshape(batch, channels, size, width)


def filtered(x: Tensor, index: Tensor, weight: Tensor, dim: int) -> Tensor:
    """Filter one axis of each image with its own weights.

    Args:
        x: images ``(B, C, *spatial)``.
        index: ``(side, taps)``, the pixels that each pixel along `dim` is made of.
        weight: ``(B, taps)``.
        dim: dimension of `x`, 2 or more.

    Returns:
        Images of the shape of `x`, contiguous where `dim` is 2.
    """
    moved = x.movedim(dim, 2)
    rows = moved.reshape(*moved.shape[:3], -1)
    batch, taps = weight.shape
    weights = weight[:, None].expand(batch, len(index), taps)
    out = _weighted_rows(rows, index.expand(batch, -1, -1), weights)
    return out.reshape(moved.shape).movedim(2, dim)


def _linear(distance: Tensor) -> Tensor:
    return (1 - distance.abs()).clamp(min=0)


def _cubic(distance: Tensor) -> Tensor:
    """Keys' cubic with a = -1/2, as Pillow has it."""
    far = distance.abs().clamp(max=2)
    near = far.clamp(max=1)
    # 1.5 t^3 - 2.5 t^2 + 1 up to 1, where it is 0; then -0.5 t^3 + 2.5 t^2 - 4 t + 2
    inner = (1.5 * near - 2.5) * near * near + 1
    beyond = far.clamp(min=1)
    return inner + ((-0.5 * beyond + 2.5) * beyond - 4) * beyond + 2


KERNELS = {"bilinear": (1, _linear), "bicubic": (2, _cubic)}
