"""Crops of a field, each with a nucleus in its middle and its neighbours around it."""

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["centred", "cut"]


def centred(
    centres: npt.NDArray[np.int64], shape: tuple[int, ...], side: int
) -> npt.NDArray[np.int64]:
    """Return the nuclei whose whole crop lies inside the field.

    Args:
        centres: ``(N, 2)`` row and column.
        shape: ``(..., H, W)`` of the field.
        side: pixels of a crop.
    """
    first = centres - side // 2
    inside = (first >= 0) & (first + side <= np.array(shape[-2:]))
    return centres[inside.all(axis=1)]


def cut(field: npt.NDArray[Any], centre: npt.NDArray[np.int64], side: int) -> npt.NDArray[Any]:
    """Return the crop ``(C, side, side)`` around a pixel of a field ``(C, H, W)``.

    That pixel is row and column ``side // 2`` of the crop.
    """
    row, column = (int(place) - side // 2 for place in centre)
    return field[:, row : row + side, column : column + side]
