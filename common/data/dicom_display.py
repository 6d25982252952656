"""From stored DICOM values to what a viewer shows, PS3.3 C.11: in the standard's order.

Modality LUT (0028,3000) or rescale (0028,1052/1053) → VOI LUT (0028,3010) or window
(0028,1050/1051) with its function (0028,1056), else the range of the values → inversion of
MONOCHROME1, once → orientation.

Field of View Horizontal Flip (0018,7034) is not undone: it tells how the pixels lie relative to the
detector, and Patient Orientation (0020,0020) already describes the flipped image.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi

from common.checks import require

__all__ = ["display", "display_colour"]

Values = npt.NDArray[np.float64]
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as for pictures


def display(stored: npt.NDArray[Any], data: pydicom.Dataset, name: str) -> npt.NDArray[np.float32]:
    """Stored values to grey in [0, 1], upright.

    Args:
        stored: (H, W), or (H, W, 3) for colour.
        data: the header.
        name: what an error calls the file.

    Returns:
        (H, W) float32 in [0, 1], bright where the film is bright.

    Raises:
        InputError: every pixel has the same value.
    """
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    if stored.ndim == 3:
        grey = stored @ LUMINANCE / np.iinfo(stored.dtype).max
    else:
        require(
            bool(stored.min() < stored.max()),
            f"{name}: must hold an image, got the same value in every pixel. Leave it out.",
        )
        grey = _grey(stored, data)
        if data.PhotometricInterpretation == "MONOCHROME1":
            grey = 1.0 - grey
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
    """
    if data.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, data)
    if stored.ndim == 2:
        colour = np.repeat(display(stored, data, name).astype(np.float64)[..., None], 3, axis=2)
    else:
        colour = _upright(stored[..., :3] / np.iinfo(stored.dtype).max, data)
    return np.ascontiguousarray(np.rint(255 * colour), dtype=np.uint8)


def _grey(stored: npt.NDArray[Any], data: pydicom.Dataset) -> Values:
    """Modality and VOI transformation to [0, 1], before the inversion."""
    values = np.asarray(apply_modality_lut(stored, data))
    if data.get("VOILUTSequence"):
        bits = int(data.VOILUTSequence[0].LUTDescriptor[2])
        shown = apply_voi(np.rint(values).astype(np.int64), data, index=0) / (2.0**bits - 1)
    else:
        shown = np.clip(_windowed(values.astype(np.float64), data), 0.0, 1.0)
    if shown.min() == shown.max():  # a window beside the values would erase the image
        shown = _stretched(values.astype(np.float64))
    return np.asarray(np.clip(shown, 0.0, 1.0))


def _windowed(values: Values, data: pydicom.Dataset) -> Values:
    """The first window (PS3.3 C.11.2.1.2 and C.11.2.1.3), or the values' own range."""
    centre, width = (_first(data.get(f"Window{which}")) for which in ("Center", "Width"))
    function = str(data.get("VOILUTFunction") or "LINEAR").strip().upper()
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        return _stretched(values)
    if function == "SIGMOID":
        # C.11.2.1.3.1: y = range / (1 + exp(-4 (x - c) / w))
        return np.asarray(1.0 / (1.0 + np.exp(-4.0 * (values - centre) / width)))
    if function == "LINEAR_EXACT":
        # C.11.2.1.3.2: y = ((x - c) / w + 0.5) * range
        return (values - centre) / width + 0.5
    # C.11.2.1.2.1: y = ((x - (c - 0.5)) / (w - 1) + 0.5) * range; a width of 1 is a threshold
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _stretched(values: Values) -> Values:
    low, high = values.min(), values.max()
    return np.asarray((values - low) / (high - low))


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
