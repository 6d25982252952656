"""Uneven light and brightness of a plate, measured on its fields.

One rule for data preparation and inference: of each stain the mean image of the plate's fields,
smoothed until no cell is seen in it, is the light; a field is divided by it. Then each stain is
divided by its 99.9th percentile over the plate and kept in [0, 1], so that plates that were
exposed differently look alike, and a plate's stains keep their differences between wells. The
smoothing, the percentile and the number of fields that are measured are ours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.checks import require

__all__ = ["MOST_FIELDS", "PlateStandard", "measure_plate", "spread"]

MOST_FIELDS = 64  # of a plate that are measured; their mean differs little from that of all
FEWEST_FIELDS = 8  # with fewer the mean image shows cells, and the light is taken for even
STEP = 4  # every fourth row and column is measured
SMOOTH = 8  # part of the shorter side that is the standard deviation of the smoothing
WHITE = 99.9  # percentile that becomes 1

Array = npt.NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True)
class PlateStandard:
    """What the fields of a plate have in common.

    Args:
        light: ``(3, H, W)`` of mean 1.
        white: ``(3,)`` values that become 1, after the light.
    """

    light: Array
    white: Array

    def apply(self, field: npt.NDArray[np.uint16]) -> Array:
        """Return the field without them, ``(3, H, W)`` in [0, 1].

        Raises:
            InputError: a field of another size.
        """
        require(
            field.shape == self.light.shape,
            f"a field must have the size of its plate, {self.light.shape[1:]}, got "
            f"{field.shape[1:]}. Leave it out.",
        )
        even = field / (self.light * self.white[:, None, None])
        return np.clip(even, 0, 1).astype(np.float32)


def measure_plate(fields: Iterable[npt.NDArray[np.uint16]]) -> PlateStandard:
    """Measure the light and the brightness of a plate.

    Args:
        fields: ``(3, H, W)`` each, read one after the other; those of another size than the first
            are passed over.

    Raises:
        InputError: there is no field.
    """
    shape: tuple[int, ...] = ()
    small = []
    for field in fields:
        shape = shape or field.shape
        if field.shape == shape:
            small.append(field[:, ::STEP, ::STEP].copy())
    require(bool(small), "a plate must have a field that can be read, got none.")
    values = np.stack(small)  # (fields, 3, rows, columns)
    light = np.ones(values.shape[1:], np.float32)
    if len(values) >= FEWEST_FIELDS:
        width = min(values.shape[2:]) / SMOOTH
        mean = values.mean(axis=0, dtype=np.float64)
        smooth = ndimage.gaussian_filter(mean, (0, width, width), mode="nearest")
        smooth = np.maximum(smooth, 1e-3 * smooth.max(axis=(1, 2), keepdims=True) + 1e-6)
        light = (smooth / smooth.mean(axis=(1, 2), keepdims=True)).astype(np.float32)
    white = np.percentile(values / light, WHITE, axis=(0, 2, 3))
    return PlateStandard(_enlarged(light, shape), np.maximum(white, 1).astype(np.float32))


def spread(items: Sequence[T], most: int = MOST_FIELDS) -> list[T]:
    """Return `most` items evenly spread over all, or all of few.

    >>> spread(list("abcdef"), most=3)
    ['a', 'c', 'e']
    """
    count = min(most, len(items))
    return [items[k * len(items) // count] for k in range(count)]


def _enlarged(light: Array, shape: Sequence[int]) -> Array:
    """Linear between the rows and columns that were measured, ``(3, H, W)``."""
    axes = [np.minimum(np.arange(side) / STEP, (side - 1) // STEP) for side in shape[1:]]
    places = np.meshgrid(*axes, indexing="ij")
    planes = [ndimage.map_coordinates(plane, places, order=1, mode="nearest") for plane in light]
    return np.stack(planes).astype(np.float32)
