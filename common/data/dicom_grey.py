"""Grey of stored DICOM values, PS3.3 C.11.1 and C.11.2: worked out once for each, then looked up.

Modality LUT or rescale, VOI LUT or window or range, and inversion are functions of the stored value
alone, and there are at most 65536 of those. What is left for each pixel is one look-up, which gives
the formula's result to the last bit.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from common.checks import InputError, require
from common.data.dicom_lut import Table, first_table

__all__ = ["grey"]

Stored = npt.NDArray[Any]
Values = npt.NDArray[np.float64]
Shown = npt.NDArray[np.float32]

AT_A_TIME = 2**16  # pixels whose index stays in a processor's cache


@dataclass(frozen=True)
class _Window:
    """A window (PS3.3 C.11.2.1.2) and its function (C.11.2.1.3)."""

    centre: float
    width: float
    function: str

    def shown(self, values: Values) -> Values:
        """Values to what is shown, not limited to [0, 1]."""
        if self.function == "SIGMOID":
            # C.11.2.1.3.1: y = range / (1 + exp(-4 (x - c) / w))
            with np.errstate(over="ignore"):
                return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - self.centre) / self.width)))
        if self.function == "LINEAR_EXACT":
            # C.11.2.1.3.2: y = ((x - c) / w + 0.5) * range
            return (values - self.centre) / self.width + 0.5
        # C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * range; a width of 1 is a threshold
        if self.width == 1:
            return (values > self.centre - 0.5).astype(np.float64)
        return (values - (self.centre - 0.5)) / (self.width - 1) + 0.5


@dataclass(frozen=True)
class _Curve:
    """What a header makes of a stored value, without inversion; a table goes before numbers."""

    slope: float
    intercept: float
    window: _Window | None
    modality: Table | None
    voi: Table | None

    @property
    def of_numbers(self) -> bool:
        """Whether it has no table."""
        return self.modality is None and self.voi is None

    def values(self, low: int, high: int) -> Values:
        """Stored values `low` to `high` after the modality transformation."""
        levels = np.arange(low, high + 1, dtype=np.float64)
        if self.modality is not None:
            return self.modality(levels).astype(np.float64)
        levels *= self.slope
        levels += self.intercept
        return levels

    def shown(self, low: int, high: int, ends: tuple[int, int] | None) -> Values:
        """What is shown of stored values `low` to `high`, not limited to [0, 1].

        Args:
            low: the first.
            high: the last.
            ends: the two of them to show as 0 and as 1; None for the VOI table or the window.
        """
        values = self.values(low, high)
        if ends is not None:
            black, white = sorted(float(values[end - low]) for end in ends)
            return (values - black) / (white - black) if black < white else np.zeros_like(values)
        if self.voi is not None:
            return np.asarray(self.voi(np.rint(values)) / self.voi.top)
        assert self.window is not None
        return self.window.shown(values)


def grey(stored: Stored, data: pydicom.Dataset, inverted: bool, name: str) -> Shown:
    """Modality and VOI transformation and inversion, to [0, 1].

    Args:
        stored: (H, W) integers, in any order of memory.
        data: the header.
        inverted: whether low values are bright, as in MONOCHROME1.
        name: what an error calls the file.

    Returns:
        (H, W) float32, row after row.

    Raises:
        InputError: every pixel has the same value, or the header contradicts the pixels.
    """
    curve = _curve(data, name)
    image = None
    if curve.window and curve.of_numbers:  # the table of all values, which is kept
        every = np.iinfo(stored.dtype)
        image = _looked_up(stored, curve, (int(every.min), int(every.max)), None, inverted)
    if image is not None:
        return image
    low, high = int(stored.min()), int(stored.max())
    require(
        low < high,
        f"{name}: must hold an image, got the same value in every pixel. Leave it out.",
    )
    if not curve.of_numbers and (curve.voi or curve.window):
        image = _looked_up(stored, curve, (low, high), None, inverted)
    if image is None:  # no window, or one beside the values, which would erase the image
        ends = _range(stored, curve, low, high, data)
        image = _looked_up(stored, curve, (low, high), ends, inverted)
    if image is None:
        raise InputError(
            f"{name}: must show something, got the same value in every pixel after its modality "
            "transformation. Leave it out."
        )
    return image


def _curve(data: pydicom.Dataset, name: str) -> _Curve:
    """Read what a header says.

    Raises:
        InputError: a slope of 0, numbers that are not finite, or a table that contradicts itself.
    """
    signed = bool(data.get("PixelRepresentation"))
    modality = first_table(data.get("ModalityLUTSequence"), data, signed, name)
    slope, intercept = (_first(data.get(f"Rescale{which}")) for which in ("Slope", "Intercept"))
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    require(
        modality is not None or (slope != 0 and math.isfinite(slope) and math.isfinite(intercept)),
        f"{name}: Rescale Slope and Intercept must be finite and the slope not 0, got others. "
        "Export it again or leave it out.",
    )
    below = modality is None and (signed or slope < 0 or intercept < 0)
    voi = first_table(data.get("VOILUTSequence"), data, below, name)
    return _Curve(slope, intercept, _window(data), modality, voi)


def _window(data: pydicom.Dataset) -> _Window | None:
    """The first window; None where there is none, or none that the standard allows."""
    centre, width = (_first(data.get(f"Window{which}")) for which in ("Center", "Width"))
    if centre is None or width is None or not (math.isfinite(centre) and math.isfinite(width)):
        return None
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    if width <= 0 or (function == "LINEAR" and width < 1):
        return None
    return _Window(centre, width, function)


def _range(
    stored: Stored, curve: _Curve, low: int, high: int, data: pydicom.Dataset
) -> tuple[int, int]:
    """The two stored values whose range is shown.

    Those are the ends of what occurs and is no padding (PS3.3 C.7.5.1.1.2), if it shows something;
    with a modality table, which need not rise or fall throughout, its least and its greatest.
    """
    bottom, top = _padding(stored, data) or (low - 1, low - 1)
    if curve.modality is not None:
        levels = np.arange(low, high + 1)
        there = levels[_occurring(stored)[levels.astype(_places(stored).dtype)]]
        inside = there[(there < bottom) | (there > top)]
        chosen = inside if len(inside) > 1 else there
        values = curve.values(low, high)[chosen - low]
        return int(chosen[values.argmin()]), int(chosen[values.argmax()])
    ends, places = [low, high], _places(stored)
    # distances are unsigned: what is on the other side of the padding is farther than all else
    if bottom <= low <= top < high:
        ends[0] = top + 1 + int((places - _wrapped(top + 1, stored)).min())
    elif low < bottom <= high <= top:
        ends[1] = bottom - 1 - int((_wrapped(bottom - 1, stored) - places).min())
    return (ends[0], ends[1]) if ends[0] < ends[1] else (low, high)


def _wrapped(value: int, stored: Stored) -> Any:
    """A value as `_places` has it."""
    return np.array(value % 2 ** (8 * stored.dtype.itemsize), _places(stored).dtype)


def _occurring(stored: Stored) -> npt.NDArray[np.bool_]:
    """Which of all values of its type occur, by `_places`."""
    flags = np.zeros(2 ** (8 * stored.dtype.itemsize), bool)
    for rows in _parts(stored):
        flags[_places(stored[rows])] = True
    return flags


def _padding(stored: Stored, data: pydicom.Dataset) -> tuple[int, int] | None:
    """The lowest and the highest stored value that is padding; None where none is."""
    first = _first(data.get("PixelPaddingValue"))
    if first is None:
        return None
    last = _first(data.get("PixelPaddingRangeLimit"))
    ends = sorted(_signed(value, stored) for value in (first, first if last is None else last))
    return ends[0], ends[1]


def _signed(value: float, stored: Stored) -> int:
    """A value written as unsigned (US) beside signed pixels."""
    return int(value) - 65536 if stored.dtype.kind == "i" and value >= 32768 else int(value)


def _table(
    curve: _Curve,
    levels: tuple[int, int],
    ends: tuple[int, int] | None,
    inverted: bool,
    cell: int,
    twos: bool,
) -> npt.NDArray[np.floating[Any]]:
    """A table by `_places` of what is shown; those of values that do not occur hold anything.

    Args:
        curve: of the header.
        levels: the first and the last stored value to work it out for.
        ends: as `_Curve.shown` takes them.
        inverted: whether low values are bright.
        cell: bytes of a stored value.
        twos: whether it is for two neighbours at a time, of one byte each.
    """
    limited = np.clip(curve.shown(*levels, ends), 0.0, 1.0)
    if inverted:
        limited = 1.0 - limited
    table = np.empty(2 ** (8 * cell), np.float32)
    first = levels[0] % len(table)
    last = len(table) - first  # values from here on are not negative, and stand in front
    table[first : first + len(limited)] = limited[:last]
    table[: len(limited[last:])] = limited[last:]
    if twos:
        return table.take(np.arange(2**16, dtype=np.uint16).view(np.uint8)).view(np.float64)
    return table


_kept = lru_cache(maxsize=8)(_table)  # many films of a machine have one window


def _looked_up(
    stored: Stored,
    curve: _Curve,
    levels: tuple[int, int],
    ends: tuple[int, int] | None,
    inverted: bool,
) -> Shown | None:
    """What is shown of all pixels (H, W); None where all look the same. See `_table`."""
    twos = stored.itemsize == 1 and stored.flags.c_contiguous and stored.shape[1] % 2 == 0
    make = _kept if curve.of_numbers else _table
    table = make(curve, levels, ends, inverted, stored.itemsize, twos)
    image = np.empty(stored.shape, np.float32)
    places: Stored = _places(stored)
    pixels: npt.NDArray[Any] = image
    if twos:
        places, pixels = places.view(np.uint16), image.view(np.float64)
    across = abs(stored.strides[0]) < abs(stored.strides[1])
    for rows in _parts(places):
        # of a film that lies on its side a part is copied, where its columns are near each other
        part = places[rows].copy(order="K") if across else places[rows]
        # every value is in the table; "wrap" is the soonest done, and needs no buffer
        table.take(part, out=pixels[rows], mode="wrap")
    # nearly always pixels of a few rows differ
    return image if any(some.min() < some.max() for some in (image[::64], image)) else None


def _places(values: Stored) -> Stored:
    """Where a stored value stands in a table of all values of its type."""
    return values.view(f"u{values.dtype.itemsize}")


def _parts(image: Stored) -> Iterator[slice]:
    """Yield rows of which an index is small: of all it takes more time than to look them up."""
    rows = max(1, AT_A_TIME // image.shape[1])
    for start in range(0, len(image), rows):
        yield slice(start, start + rows)


def _first(value: object) -> float | None:
    """First of a possibly multi-valued number; None where it is absent or empty."""
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(str(value))
