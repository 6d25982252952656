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
        light: ``(3, h, w)`` of mean 1, at every fourth row and column.
        white: ``(3,)`` values that become 1, after the light.
        shape: ``(3, H, W)`` of a field.
    """

    light: Array
    white: Array
    shape: tuple[int, ...]

    def apply(self, field: npt.NDArray[np.uint16]) -> Array:
        """Return the field without them, ``(3, H, W)`` in [0, 1].

        Raises:
            InputError: a field of another size.
        """
        require(
            field.shape == self.shape,
            f"a field must have the size of its plate, {self.shape[1:]}, got "
            f"{field.shape[1:]}. Leave it out.",
        )
        even = field / (_enlarged(self.light, self.shape) * self.white[:, None, None])
        return np.clip(even, 0, 1, out=even)


def measure_plate(fields: Iterable[npt.NDArray[np.uint16]]) -> PlateStandard:
    """Measure the light and the brightness of a plate.

    Args:
        fields: ``(3, H, W)`` each, read one after the other; those of another size than most are
            passed over (of sizes as frequent, the first counts).

    Raises:
        InputError: there is no field.
    """
    by_shape: dict[tuple[int, ...], list[npt.NDArray[np.uint16]]] = {}
    for field in fields:
        by_shape.setdefault(field.shape, []).append(field[:, ::STEP, ::STEP].copy())
    require(bool(by_shape), "a plate must have a field that can be read, got none.")
    shape, small = max(by_shape.items(), key=lambda item: len(item[1]))
    values = np.stack(small)  # (fields, 3, rows, columns)
    light = np.ones(values.shape[1:], np.float32)
    if len(values) >= FEWEST_FIELDS:
        width = min(values.shape[2:]) / SMOOTH
        mean = values.mean(axis=0, dtype=np.float64)
        smooth = ndimage.gaussian_filter(mean, (0, width, width), mode="nearest")
        smooth = np.maximum(smooth, 1e-3 * smooth.max(axis=(1, 2), keepdims=True) + 1e-6)
        light = (smooth / smooth.mean(axis=(1, 2), keepdims=True)).astype(np.float32)
    white = np.percentile(values / light, WHITE, axis=(0, 2, 3))
    return PlateStandard(light, np.maximum(white, 1).astype(np.float32), shape)


def spread(items: Sequence[T], most: int = MOST_FIELDS) -> list[T]:
    """Return `most` items evenly spread over all, or all of few.

    >>> spread(list("abcdef"), most=3)
    ['a', 'c', 'e']
    """
    count = min(most, len(items))
    return [items[k * len(items) // count] for k in range(count)]


def _enlarged(light: Array, shape: Sequence[int]) -> Array:
    """Linear between the rows and columns that were measured, ``(3, H, W)``."""
    for axis, side in ((1, shape[1]), (2, shape[2])):
        place = np.minimum(np.arange(side) / STEP, light.shape[axis] - 1)
        first = np.minimum(place.astype(np.int64), max(light.shape[axis] - 2, 0))
        part = (place - first).astype(np.float32).reshape((-1, 1) if axis == 1 else (1, -1))
        after = np.minimum(first + 1, light.shape[axis] - 1)
        light = light.take(first, axis) * (1 - part) + light.take(after, axis) * part
    return light
