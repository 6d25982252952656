"""Additive Gaussian noise of Ruppli et al. 2022, Table 1, reparametrised in its strength."""

import math

import torch
from torch import Generator, Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters, columns

__all__ = ["noise"]

LARGEST_UNIFORM = 1 - 1e-6


def noise(
    x: Tensor, lam: Tensor, *, generator: Generator | None = None, max_std: float = 0.1
) -> Tensor:
    """Return ``X + lam max_std sqrt(2) erfinv(U)``, U uniform in [-1, 1] for every pixel.

    ``sqrt(2) erfinv(U)`` is standard normal, so ``lam = 0`` is the identity and ``lam = 1`` adds
    noise of standard deviation `max_std`, in the unit of images scaled to [0, 1]. The result is
    not clipped. Every call draws anew.

    Differs from the paper: U stays within 1e-6 of the ends, where erfinv is infinite, so noise is
    bounded by 4.9 standard deviations.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: share of `max_std` ``(B, 1)`` in [0, 1].
        generator: source of U, on the device of `x`; None is PyTorch's global one.
        max_std: standard deviation at ``lam = 1``.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> torch.equal(noise(torch.ones(1, 1, 2, 2), torch.zeros(1, 1)), torch.ones(1, 1, 2, 2))
    True
    """
    lam = checked_parameters("noise", x, lam, size=1)
    require(max_std >= 0, f"noise: max_std must not be negative, got {max_std}.")
    uniform = torch.empty(x.shape, device=x.device, dtype=lam.dtype)
    normal = uniform.uniform_(-LARGEST_UNIFORM, LARGEST_UNIFORM, generator=generator).erfinv_()
    return torch.addcmul(x.to(lam.dtype), columns(lam * (max_std * math.sqrt(2)), x), normal).to(
        x.dtype
    )
