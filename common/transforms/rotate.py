"""Rotation of Ruppli et al. 2022, Table 1, about the centre of the image."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from common.transforms.arguments import checked_parameters

__all__ = ["rotate"]


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
    planes = [(0, 1)] if spatial == 2 else [(1, 2), (2, 0), (0, 1)]
    with torch.autocast(x.device.type, enabled=False):
        turn = torch.eye(spatial, device=lam.device, dtype=lam.dtype)
        for angle, plane in zip((2 * math.pi * lam).unbind(1), planes):
            turn = turn @ _plane_rotation(angle, plane, spatial)
        grid = _source_grid(turn, x.shape[2:])
        out = functional.grid_sample(
            x.to(lam.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    return out.to(x.dtype)


def _source_grid(turn: Tensor, sides: Sequence[int]) -> Tensor:
    """Return where each pixel comes from, ``(B, *spatial, spatial)`` as grid_sample wants it.

    That is in [-1, 1] from edge to edge of each side, the last axis first. In memory every
    coordinate is one block, which is quicker both to write and to sample than pairs.
    """
    spatial = len(sides)
    lengths = torch.tensor(sides, device=turn.device, dtype=turn.dtype)
    columns = (turn / lengths[:, None]).flip(1).unbind(2)
    grid: Tensor = turn.new_zeros(())
    for axis, (side, column) in enumerate(zip(sides, columns)):
        # twice the distance of the pixel centres from the centre of the image, in pixels
        pixels = torch.arange(1 - side, side, 2, device=turn.device, dtype=turn.dtype)
        shape = [side if other == axis else 1 for other in range(spatial)]
        grid = grid + column.reshape(-1, spatial, *[1] * spatial) * pixels.reshape(shape)
    return grid.movedim(1, -1)


def _plane_rotation(angle: Tensor, plane: tuple[int, int], spatial: int) -> Tensor:
    """Return the rotations ``(B, spatial, spatial)`` by ``angle (B,)`` that keep other axes."""
    first, second = plane
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [[zero + (row == column) for column in range(spatial)] for row in range(spatial)]
    rows[first][first] = rows[second][second] = cosine
    rows[first][second], rows[second][first] = sine, -sine
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
