"""From stored DICOM values to what a viewer shows, PS3.3 C.11: in the standard's order.

Modality LUT (0028,3000) or rescale (0028,1052/1053) → VOI LUT (0028,3010) or window
(0028,1050/1051) with its function (0028,1056), else the range of the values without padding
(0028,0120/0121) → inversion of MONOCHROME1, once → orientation.

Field of View Horizontal Flip (0018,7034) is not undone: it tells how the pixels lie relative to the
detector, and Patient Orientation (0020,0020) already describes the flipped image.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from common.checks import require
from common.data.dicom_grey import grey
from common.data.dicom_lut import palette_colours

__all__ = ["display", "display_colour"]

Values = npt.NDArray[np.floating[Any]]
LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R 601, as for pictures
GREY = ("MONOCHROME1", "MONOCHROME2")
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
    if colour is None:
        return grey(_upright(stored, data), data, _photometric(data) == "MONOCHROME1", name)
    return np.ascontiguousarray(_upright(colour @ LUMINANCE, data), dtype=np.float32)


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
        shown = display(stored, data, name).astype(np.float64)
        colour = np.repeat(shown[..., None], 3, axis=2)
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
