"""From stored DICOM values to what a viewer shows, PS3.3 C.11: in the standard's order.

Modality LUT (0028,3000) or rescale (0028,1052/1053) → VOI LUT (0028,3010) or window
(0028,1050/1051) with its function (0028,1056), else the range of the values without padding
(0028,0120/0121) → inversion of MONOCHROME1, once → orientation.

Field of View Horizontal Flip (0018,7034) is not undone: it tells how the pixels lie relative to the
detector, and Patient Orientation (0020,0020) already describes the flipped image.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from common.checks import InputError, require
from common.data.dicom_lut import first_table, palette_colours

__all__ = ["display", "display_colour"]

Values = npt.NDArray[np.floating[Any]]
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as for pictures
GREY = ("MONOCHROME1", "MONOCHROME2")
AT_A_TIME = 2**15  # pixels whose index stays in a processor's cache
COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # decoders turn them to RGB


def display(stored: npt.NDArray[Any], data: pydicom.Dataset, name: str) -> npt.NDArray[np.float32]:
    """Stored values to grey in [0, 1], upright.

    Args:
        stored: (H, W), or (H, W, 3) for colour.
        data: the header.
        name: what an error calls the file.

    Returns:
        (H, W) float32 in [0, 1], bright where the film is bright.

    Raises:
        InputError: every pixel has the same value, or the header contradicts the pixels.
    """
    colour = _colour(stored, data, name)
    if colour is not None:
        grey = colour @ LUMINANCE
    else:
        return _grey(_upright(stored, data), data, name)
    return np.ascontiguousarray(_upright(grey, data), dtype=np.float32)


def display_colour(
    stored: npt.NDArray[Any], data: pydicom.Dataset, name: str
) -> npt.NDArray[np.uint8]:
    """Stored values to RGB, upright; grey as `display` shows it.

    Args:
        stored: (H, W), or (H, W, 3) for colour; YBR already converted, as pydicom does.
        data: the header.
        name: what an error calls the file.

    Returns:
        (H, W, 3) in 0..255.

    Raises:
        InputError: as `display`.
    """
    colour: Values | None = _colour(stored, data, name)
    if colour is None:
        grey = display(stored, data, name).astype(np.float64)
        colour = np.repeat(grey[..., None], 3, axis=2)
    else:
        colour = _upright(colour, data)
    return np.ascontiguousarray(np.rint(255 * colour), dtype=np.uint8)


def _photometric(data: pydicom.Dataset) -> str:
    return str(data.get("PhotometricInterpretation") or "").strip().upper()


def _colour(stored: npt.NDArray[Any], data: pydicom.Dataset, name: str) -> Values | None:
    """RGB in [0, 1], (H, W, 3); None for grey."""
    photometric = _photometric(data)
    samples = 1 if stored.ndim == 2 else stored.shape[2]
    wanted = 3 if photometric in COLOUR else 1
    require(
        photometric in (*GREY, *COLOUR, "PALETTE COLOR") and samples == wanted,
        f"{name}: must be MONOCHROME1, MONOCHROME2 or PALETTE COLOR with one sample, or RGB or YBR "
        f"with three, got {samples} and another interpretation. Export it again.",
    )
    if photometric in GREY:
        return None
    if photometric == "PALETTE COLOR":
        return palette_colours(stored, data, name)
    require(
        stored.dtype.kind == "u",
        f"{name}: colours must be unsigned, got signed ones. Export it again.",
    )
    return np.asarray(stored / (2.0 ** int(data.BitsStored) - 1))


def _grey(stored: npt.NDArray[Any], data: pydicom.Dataset, name: str) -> npt.NDArray[np.float32]:
    """Modality and VOI transformation and inversion, to [0, 1].

    Each is a function of the stored value alone, so that it is worked out once for each of the
    values there can be, at most 65536, and then looked up.
    """
    low, high = int(stored.min()), int(stored.max())
    require(
        low < high,
        f"{name}: must hold an image, got the same value in every pixel. Leave it out.",
    )
    levels = np.arange(low, high + 1).astype(stored.dtype)
    values, signed = _modality(levels, data, name)
    table = first_table(data.get("VOILUTSequence"), data, signed, name)
    if table is not None:
        shown: Values | None = table(np.rint(values)) / table.top
    else:
        shown = _windowed(values, data)
    image = None if shown is None else _looked_up(shown, stored, levels, data)
    if image is None:  # no window, or one beside the values, which would erase the image
        ends = values[_range(stored, levels, data)]
        stretched = _stretched(values, float(ends.min()), float(ends.max()))
        image = _looked_up(stretched, stored, levels, data)
    if image is None:
        raise InputError(
            f"{name}: must show something, got the same value in every pixel after its modality "
            "transformation. Leave it out."
        )
    return image


def _range(
    stored: npt.NDArray[Any], levels: npt.NDArray[Any], data: pydicom.Dataset
) -> npt.NDArray[np.intp]:
    """Places in `levels` of the values whose range is shown.

    Those are the ends of what occurs and is no padding (PS3.3 C.7.5.1.1.2), if it shows something;
    with a modality table, which need not rise or fall throughout, all of it.
    """
    low, high = int(levels[0]), int(levels[-1])
    bottom, top = _padding(stored, data) or (low - 1, low - 1)
    if data.get("ModalityLUTSequence"):
        there = np.flatnonzero(_occurring(stored)[_places(levels)])
        inside = there[(levels[there] < bottom) | (levels[there] > top)]
        return inside if len(inside) > 1 else there
    ends, places = [low, high], _places(stored)
    # distances are unsigned: what is on the other side of the padding is farther than all else
    if bottom <= low <= top < high:
        ends[0] = top + 1 + int((places - _wrapped(top + 1, stored)).min())
    elif low < bottom <= high <= top:
        ends[1] = bottom - 1 - int((_wrapped(bottom - 1, stored) - places).min())
    return np.array(ends if ends[0] < ends[1] else [low, high]) - low


def _wrapped(value: int, stored: npt.NDArray[Any]) -> Any:
    """A value as `_places` has it."""
    return np.array(value % 2 ** (8 * stored.dtype.itemsize), _places(stored).dtype)


def _occurring(stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which of all values of its type occur, by `_places`."""
    flags = np.zeros(2 ** (8 * stored.dtype.itemsize), bool)
    for rows in _parts(stored):
        flags[_places(stored[rows])] = True
    return flags


def _padding(stored: npt.NDArray[Any], data: pydicom.Dataset) -> tuple[int, int] | None:
    """The lowest and the highest stored value that is padding; None where none is."""
    first = _first(data.get("PixelPaddingValue"))
    if first is None:
        return None
    last = _first(data.get("PixelPaddingRangeLimit"))
    ends = sorted(_signed(value, stored) for value in (first, first if last is None else last))
    return ends[0], ends[1]


def _signed(value: float, stored: npt.NDArray[Any]) -> int:
    """A value written as unsigned (US) beside signed pixels."""
    return int(value) - 65536 if stored.dtype.kind == "i" and value >= 32768 else int(value)


def _looked_up(
    shown: Values, stored: npt.NDArray[Any], levels: npt.NDArray[Any], data: pydicom.Dataset
) -> npt.NDArray[np.float32] | None:
    """Shown values of all pixels, MONOCHROME1 inverted; None where all are the same.

    Args:
        shown: (N,), of `levels`.
        stored: (H, W), of which the first and the last of `levels` occur.
        levels: (N,).
        data: the header.
    """
    limited: Values = np.clip(shown, 0.0, 1.0)
    if _photometric(data) == "MONOCHROME1":
        limited = 1.0 - limited
    there = _places(levels)
    table = np.empty(int(there.max()) + 1, np.float32)
    table[there] = limited
    image = np.empty(stored.shape, np.float32)
    for rows in _parts(stored):
        # every value is in the table; "wrap" is the soonest done, and needs no buffer
        table.take(_places(stored[rows]), out=image[rows], mode="wrap")
    erased = table[there[0]] == table[there[-1]] and image.min() == image.max()
    return None if erased else image


def _places(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Where a stored value stands in a table of all values of its type."""
    return values.view(f"u{values.dtype.itemsize}")


def _parts(image: npt.NDArray[Any]) -> Iterator[slice]:
    """Yield rows of which an index is small: of all it takes more time than to look them up."""
    rows = max(1, AT_A_TIME // image.shape[1])
    for start in range(0, len(image), rows):
        yield slice(start, start + rows)


def _modality(stored: npt.NDArray[Any], data: pydicom.Dataset, name: str) -> tuple[Values, bool]:
    """Values after the modality transformation, and whether such values may be negative.

    Raises:
        InputError: a slope of 0, or numbers that are not finite.
    """
    signed = bool(data.get("PixelRepresentation"))
    table = first_table(data.get("ModalityLUTSequence"), data, signed, name)
    if table is not None:
        return table(stored).astype(np.float64), False
    slope = _first(data.get("RescaleSlope"))
    intercept = _first(data.get("RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
    require(
        slope != 0 and bool(np.isfinite([slope, intercept]).all()),
        f"{name}: Rescale Slope and Intercept must be finite and the slope not 0, got others. "
        "Export it again or leave it out.",
    )
    return stored * slope + intercept, signed or slope < 0 or intercept < 0


def _windowed(values: Values, data: pydicom.Dataset) -> Values | None:
    """The first window (PS3.3 C.11.2.1.2 and C.11.2.1.3); None where there is none."""
    centre, width = (_first(data.get(f"Window{which}")) for which in ("Center", "Width"))
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    if centre is None or width is None or not np.isfinite([centre, width]).all():
        return None
    if width <= 0 or (function == "LINEAR" and width < 1):
        return None
    if function == "SIGMOID":
        # C.11.2.1.3.1: y = range / (1 + exp(-4 (x - c) / w))
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width)))
    if function == "LINEAR_EXACT":
        # C.11.2.1.3.2: y = ((x - c) / w + 0.5) * range
        return (values - centre) / width + 0.5
    # C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * range; a width of 1 is a threshold
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _stretched(values: Values, low: float, high: float) -> Values:
    """From 0 at `low` to 1 at `high`."""
    return (values - low) / (high - low) if low < high else np.zeros_like(values)


def _first(value: object) -> float | None:
    """First of a possibly multi-valued number; None where it is absent or empty."""
    if isinstance(value, pydicom.multival.MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(str(value))


def _upright(image: Values, data: pydicom.Dataset) -> Values:
    r"""Head up and patient's left on the viewer's right, where Patient Orientation says so.

    Its two values are the direction of the rows and of the columns (PS3.3 C.7.6.1.1.1): ``L\F`` is
    the usual frontal view. Lateral views (A or P along the rows) keep their side.
    """
    directions = [str(value)[:1].upper() for value in data.get("PatientOrientation") or ()]
    if len(directions) != 2:
        return image
    if directions[0] in ("H", "F") and directions[1] in ("L", "R", "A", "P"):
        image, directions = image.swapaxes(0, 1), directions[::-1]
    if directions[1] == "H":
        image = image[::-1]
    if directions[0] == "R" and directions[1] in ("H", "F"):
        image = image[:, ::-1]
    return image
