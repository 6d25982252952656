"""Gaussian blur of Ruppli et al. 2022, Table 1, with one width per image."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from common.checks import require
from common.transforms.arguments import checked_parameters

__all__ = ["blur"]

SMALLEST_SIGMA = 1e-2


def blur(x: Tensor, lam: Tensor, *, max_sigma: float = 2.0) -> Tensor:
    """Return ``g_sigma * X`` with ``sigma = lam max_sigma`` pixels.

    ``lam = 0`` is the identity, ``lam = 1`` a Gaussian of `max_sigma` pixels along every axis.

    Differs from the paper: the truncation and the border are not stated there; ours cuts the
    Gaussian at ``ceil(3 max_sigma)`` pixels, makes its weights sum to 1, pads with zeros (black
    background) and keeps sigma at 0.01 pixel or more, where it is the identity already; below
    that the gradient in `lam` is 0.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: share of `max_sigma` ``(B, 1)`` in [0, 1].
        max_sigma: standard deviation in pixels at ``lam = 1``.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> blur(torch.eye(3)[None, None], torch.zeros(1, 1))[0, 0, 1]
    tensor([0., 1., 0.])
    """
    lam = checked_parameters("blur", x, lam, size=1)
    require(max_sigma > 0, f"blur: max_sigma must be positive, got {max_sigma}.")
    radius = math.ceil(3 * max_sigma)
    offsets = torch.arange(-radius, radius + 1, device=lam.device, dtype=lam.dtype)
    sigma = (lam * max_sigma).clamp(min=SMALLEST_SIGMA)
    weights = torch.softmax(-0.5 * (offsets / sigma) ** 2, dim=1)  # (B, 2 radius + 1)
    with torch.autocast(x.device.type, enabled=False):
        out = x.to(lam.dtype)
        for dim in range(2, x.dim()):
            # the axis comes second to last: (B, n, n) @ (B, rest, n, last)
            out = _along(out, _banded(weights, x.shape[dim]), dim)
    return out.to(x.dtype)


def _banded(weights: Tensor, side: int) -> Tensor:
    """Return the convolution with zero padding as a matrix ``(B, side, side)``.

    Row i holds the weights from column ``i - radius`` on; writing them one further right in each
    row of a table is writing them at the start of each row of a table one column wider.
    """
    batch, taps = weights.shape
    width = side + taps - 1
    rows = functional.pad(weights[:, None].expand(batch, side, taps), (0, side))
    table = rows.reshape(batch, -1)[:, : side * width].reshape(batch, side, width)
    return table[:, :, taps // 2 : taps // 2 + side]


def _along(x: Tensor, matrix: Tensor, dim: int) -> Tensor:
    """Multiply axis `dim` of ``x (B, C, *spatial)`` by ``matrix (B, n, n)`` of each image."""
    batch, side = matrix.shape[:2]
    if dim == x.dim() - 1:
        return torch.bmm(x.reshape(batch, -1, side), matrix.mT).reshape(x.shape)
    before = math.prod(x.shape[1:dim])
    flat = x.reshape(batch, before, side, -1)
    return torch.matmul(matrix[:, None], flat).reshape(x.shape)
