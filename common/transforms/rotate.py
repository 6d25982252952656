"""Rotation of Ruppli et al. 2022, Table 1, about the centre of the image."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.sampling import rotation, source_grid

__all__ = ["rotate"]


@transformation(size="turns", moves_pixels=True, ends=("0°", "360°"))
def rotate(x: Tensor, lam: Tensor) -> Tensor:
    """Return ``X(R x)`` with R the rotation by ``2 pi lam`` about the centre of the image.

    ``lam = 0`` and ``lam = 1`` are the identity; in 2D ``lam = 0.25`` is ``numpy.rot90``. In 3D
    the rotation is ``R = R_0 R_1 R_2`` with ``R_a`` about spatial axis a by ``2 pi lam_a``;
    ``lam = 0.25`` on axis 0, 1 or 2 alone is ``numpy.rot90`` in the axes (1, 2), (2, 0) or (0, 1).
    Angles are those of the pixel grid: sides may differ, voxels are taken as cubes.

    Differs from the paper: the interpolation is not stated there; ours is one bilinear
    (trilinear) resampling, with zeros outside the image. 3D is ours.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: angle in turns, ``(B, 1)`` in 2D, ``(B, 3)`` in 3D.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and in `lam` (almost
        everywhere: bilinear interpolation has a kink at every pixel centre).

    >>> rotate(torch.eye(2)[None, None], torch.tensor([[0.25]])).round().int()[0, 0].tolist()
    [[0, 1], [1, 0]]
    """
    spatial = x.dim() - 2
    lam = checked_parameters("rotate", x, lam, size=1 if spatial == 2 else 3)
    with torch.autocast(x.device.type, enabled=False):
        grid = source_grid(rotation(2 * math.pi * lam, spatial), x.shape[2:])
        out = functional.grid_sample(
            x.to(lam.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    return out.to(x.dtype)
