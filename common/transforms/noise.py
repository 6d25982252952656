"""Additive Gaussian noise of Ruppli et al. 2022, Table 1, reparametrised in its strength."""

import math

import torch
from torch import Generator, Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters, columns
from common.transforms.declaration import transformation

__all__ = ["noise"]

LARGEST_UNIFORM = 1 - 1e-6


@transformation(size=1, moves_pixels=False, ends=("{min_std:g}", "{max_std:g}"))
def noise(
    x: Tensor,
    lam: Tensor,
    *,
    generator: Generator | None = None,
    max_std: float = 0.1,
    min_std: float = 0.0,
) -> Tensor:
    """Return ``X + std sqrt(2) erfinv(U)``, U uniform in [-1, 1] for every pixel.

    ``sqrt(2) erfinv(U)`` is standard normal and ``std = min_std + lam (max_std - min_std)``, so by
    default ``lam = 0`` is the identity and ``lam = 1`` adds noise of standard deviation `max_std`,
    in the unit of the image. The result is not clipped. Every call draws anew.

    Differs from the paper: U stays within 1e-6 of the ends, where erfinv is infinite, so noise is
    bounded by 4.9 standard deviations.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: place between the two strengths ``(B, 1)`` in [0, 1].
        generator: source of U, on the device of `x`; None is PyTorch's global one.
        max_std: standard deviation at ``lam = 1``; the paper's 0.1 is for images in [0, 1].
        min_std: standard deviation at ``lam = 0``.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> torch.equal(noise(torch.ones(1, 1, 2, 2), torch.zeros(1, 1)), torch.ones(1, 1, 2, 2))
    True
    """
    lam = checked_parameters("noise", x, lam, size=1)
    require(
        0 <= max_std < math.inf, f"noise: max_std must be at least 0 and finite, got {max_std}."
    )
    require(
        0 <= min_std <= max_std,
        f"noise: min_std must be between 0 and max_std = {max_std}, got {min_std}.",
    )
    std = min_std + lam * (max_std - min_std)
    uniform = torch.empty(x.shape, device=x.device, dtype=lam.dtype)
    normal = uniform.uniform_(-LARGEST_UNIFORM, LARGEST_UNIFORM, generator=generator).erfinv_()
    return torch.addcmul(x.to(lam.dtype), columns(std * math.sqrt(2), x), normal).to(x.dtype)
