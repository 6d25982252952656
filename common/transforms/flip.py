"""Flip of Ruppli et al. 2022, Table 1: a blend of the image and its mirror image."""

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters, columns
from common.transforms.declaration import transformation

__all__ = ["flip"]


@transformation(size=1, moves_pixels=True, ends=("none", "full"))
def flip(x: Tensor, lam: Tensor, *, axis: int) -> Tensor:
    """Return ``(1 - lam) X(x) + lam X(x - 2 <x, e> e)``, e the unit vector of `axis`.

    ``lam = 0`` is the identity, ``lam = 1`` the exact mirror image; between them both are visible.

    Differs from the paper: nothing known.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: share of the mirror image ``(B, 1)`` in [0, 1].
        axis: spatial axis that is reversed, counted from 0 (0 = rows = up-down).

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam`.

    >>> flip(torch.tensor([[[[1.0, 2.0]]]]), torch.tensor([[1.0]]), axis=1)
    tensor([[[[2., 1.]]]])
    """
    lam = checked_parameters("flip", x, lam, size=1)
    require(
        0 <= axis < x.dim() - 2,
        f"flip: axis must be a spatial axis 0 to {x.dim() - 3}, got {axis}. Axes count from the "
        "first spatial one.",
    )
    return torch.lerp(x, x.flip(axis + 2), columns(lam, x).to(x.dtype))
