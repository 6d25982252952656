"""Slow change of brightness across an image, as a scanner's coil or a lamp leaves it."""

import itertools
import math

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation

__all__ = ["bias_field", "n_coefficients"]


@transformation(
    size=lambda axes, settings: n_coefficients(axes, settings.get("order", 3)),
    moves_pixels=False,
    ends=("coefficients −{coefficients:g}", "coefficients {coefficients:g}"),
)
def bias_field(x: Tensor, lam: Tensor, *, coefficients: float = 0.5, order: int = 3) -> Tensor:
    """Return ``X exp(sum_abc c_abc u^a v^b w^c)``, over all powers with ``a + b + c <= order``.

    u, v, w are the places along the spatial axes, from -1 at the centre of the first pixel to 1 at
    that of the last; ``c = coefficients (2 lam - 1)``, so ``lam = 0.5`` is the identity. All
    channels share the field. The columns of `lam` count c up, the last axis first: in 2D of order 3
    ``1, v, v^2, v^3, u, u v, u v^2, u^2, u^2 v, u^3``.

    That is TorchIO's `RandomBiasField`, where a uniform `lam` is its draw; a 2D image is there a
    volume of one slice, for which all powers of w but 0 vanish. Not clipped, as there.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, K)`` in [0, 1], K = `n_coefficients`: 10 in 2D and 20 in 3D for order 3.
        coefficients: greatest coefficient, at least 0; TorchIO's default.
        order: greatest sum of powers, at least 0.

    Returns:
        Images of the shape and dtype of `x`, differentiable in both.

    >>> lam = torch.full((1, 3), 0.5)
    >>> lam[0, 2] = 1.0
    >>> bias_field(torch.ones(1, 1, 3, 1), lam, coefficients=1.0, order=1).flatten()
    tensor([0.3679, 1.0000, 2.7183])
    """
    spatial = x.dim() - 2
    require(order >= 0, f"bias_field: order must be at least 0, got {order}.")
    require(
        0 <= coefficients < math.inf,
        f"bias_field: coefficients must be at least 0 and finite, got {coefficients}.",
    )
    lam = checked_parameters("bias_field", x, lam, size=n_coefficients(spatial, order))
    powers = itertools.product(range(order + 1), repeat=spatial)
    flat = [int(sum(power) <= order) for power in powers]
    field = lam.new_zeros(len(lam), len(flat))
    kept = torch.tensor(flat, device=lam.device).nonzero()[:, 0]
    field = field.index_copy(1, kept, coefficients * (2 * lam - 1))
    field = field.reshape(-1, *[order + 1] * spatial)
    with torch.autocast(x.device.type, enabled=False):
        for side in x.shape[2:]:  # each axis of powers becomes, at the end, an axis of pixels
            field = torch.tensordot(field, _powers(side, order, lam), dims=([1], [0]))
        return (x.to(lam.dtype) * field.exp().unsqueeze(1)).to(x.dtype)


def n_coefficients(spatial_dims: int, order: int = 3) -> int:
    """Return how many coefficients a field has: binomial(order + spatial_dims, spatial_dims).

    >>> n_coefficients(2), n_coefficients(3)
    (10, 20)
    """
    return math.comb(order + spatial_dims, spatial_dims)


def _powers(side: int, order: int, like: Tensor) -> Tensor:
    """Return the powers 0 to `order` of the places along an axis, ``(order + 1, side)``."""
    places = torch.arange(1 - side, side, 2, device=like.device, dtype=like.dtype)
    exponents = torch.arange(order + 1, device=like.device)
    return (places / max(side - 1, 1)) ** exponents[:, None]
