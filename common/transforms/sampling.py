"""Where pixels come from: grids for rotations and affine maps, and sampling axis by axis."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["rotation", "sample_axis", "source_grid"]


def rotation(angles: Tensor, spatial: int) -> Tensor:
    """Return the rotations ``(B, spatial, spatial)`` by ``angles (B, 1 or 3)`` in radians.

    In 3D ``R = R_0 R_1 R_2`` with ``R_a`` about spatial axis a.
    """
    planes = [(0, 1)] if spatial == 2 else [(1, 2), (2, 0), (0, 1)]
    turn = torch.eye(spatial, device=angles.device, dtype=angles.dtype)
    for angle, plane in zip(angles.unbind(1), planes):
        turn = turn @ _plane_rotation(angle, plane, spatial)
    return turn


def _plane_rotation(angle: Tensor, plane: tuple[int, int], spatial: int) -> Tensor:
    """Return the rotations ``(B, spatial, spatial)`` by ``angle (B,)`` that keep other axes."""
    first, second = plane
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [[zero + (row == column) for column in range(spatial)] for row in range(spatial)]
    rows[first][first] = rows[second][second] = cosine
    rows[first][second], rows[second][first] = sine, -sine
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def source_grid(matrix: Tensor, sides: Sequence[int], shift: Tensor | None = None) -> Tensor:
    """Return where each pixel comes from, ``(B, *spatial, spatial)`` as grid_sample wants it.

    That is in [-1, 1] from edge to edge of each side, the last axis first. In memory every
    coordinate is one block, which is quicker both to write and to sample than pairs.

    Args:
        matrix: ``(B, spatial, spatial)``; pixel p comes from ``matrix @ p + shift``, positions in
            pixels from the centre of the image.
        sides: length of each spatial axis in pixels.
        shift: ``(B, spatial)`` in pixels; None is 0.
    """
    spatial = len(sides)
    lengths = torch.tensor(sides, device=matrix.device, dtype=matrix.dtype)
    columns = (matrix / lengths[:, None]).flip(1).unbind(2)
    ones = [1] * spatial
    if shift is None:
        grid = matrix.new_zeros(())
    else:
        grid = (2 * shift / lengths).flip(1).reshape(-1, spatial, *ones)
    for axis, (side, column) in enumerate(zip(sides, columns)):
        # twice the distance of the pixel centres from the centre of the image, in pixels
        pixels = torch.arange(1 - side, side, 2, device=matrix.device, dtype=matrix.dtype)
        shape = [side if other == axis else 1 for other in range(spatial)]
        grid = grid + column.reshape(-1, spatial, *ones) * pixels.reshape(shape)
    return grid.movedim(1, -1)


def sample_axis(x: Tensor, source: Tensor, dim: int) -> Tensor:
    """Interpolate linearly along one axis, at positions of each image's own, zeros outside.

    Three such calls take a third of the time of one trilinear grid sampling.

    Args:
        x: images ``(B, C, *spatial)``.
        source: ``(B, side)``: the pixel, counted from 0, that each pixel along `dim` comes from.
        dim: dimension of `x`, 2 or more.

    Returns:
        Images of the shape of `x`, differentiable in `x` and `source`.
    """
    side = x.shape[dim]
    low = source.detach().floor()
    part = source - low
    shape = [1] * x.dim()
    shape[0], shape[dim] = source.shape
    out = x.new_zeros(())
    for step, weight in ((0, 1 - part), (1, part)):
        index = low + step
        weight = weight * ((index >= 0) & (index < side))
        pixels = _taken(x, index.clamp(0, side - 1).long(), dim)
        out = torch.addcmul(out, pixels, weight.reshape(shape))
    return out


def _taken(x: Tensor, index: Tensor, dim: int) -> Tensor:
    """Return ``x[b, ..., index[b, i], ...]`` along `dim`, in whole rows where there are some."""
    batch, side = index.shape
    if dim == x.dim() - 1:
        shape = [batch, *[1] * (x.dim() - 2), side]
        return x.gather(dim, index.reshape(shape).expand(x.shape))
    blocks = math.prod(x.shape[1:dim])
    starts = torch.arange(batch * blocks, device=x.device).reshape(batch, blocks, 1) * side
    rows = (starts + index[:, None]).flatten()
    return x.reshape(batch * blocks * side, -1).index_select(0, rows).reshape(x.shape)
