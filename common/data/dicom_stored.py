"""Stored values of a DICOM image, PS3.3 C.7.6.3 and PS3.5 section 8, from whichever reader can.

pydicom decodes (JPEG 2000 and RLE with pylibjpeg, other JPEG with GDCM); what it cannot, such as
12-bit JPEG Extended, SimpleITK decodes. SimpleITK inverts MONOCHROME1 and applies the rescale while
pydicom does neither, so its result is turned back into stored values first.
"""

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, RLELossless

from common.checks import require
from common.data.decoder import decode_apart
from common.data.reading import check_pixels

__all__ = ["decode_here", "stored_values"]

Stored = npt.NDArray[Any]

sitk.ProcessObject.GlobalWarningDisplayOff()  # type: ignore[no-untyped-call]  # SWIG


def stored_values(path: Path, data: pydicom.Dataset) -> Stored:
    """Decode the pixels of one image.

    Args:
        path: the file.
        data: its header and undecoded pixels.

    Returns:
        (H, W), or (H, W, 3) in RGB; signed or not as the header says.

    Raises:
        InputError: no pixels, several frames, contradictory or absurd numbers in the header, or a
            transfer syntax or stream that no reader decodes.
        Exception: any other, where the header or the pixels are damaged.
    """
    require(
        "PixelData" in data,
        f"{path.name}: must hold pixel data, got none. Leave it out (a report or structure file).",
    )
    _check_header(path, data)
    if data.file_meta.TransferSyntaxUID.is_encapsulated:
        return decode_apart(path)
    pixels = _as_they_lie(data)
    if pixels is None:
        pixels = pixel_array(data, correct_unused_bits=False, view_only=True)
    return _cell_values(pixels, int(data.BitsStored), _high_bit(data))


def _as_they_lie(data: pydicom.Dataset) -> Stored | None:
    """Pixel cells of a grey image in the order of this machine's bytes, not copied; else None.

    It is what `pixel_array` gives, in a fifth of the time of a small image.

    Raises:
        ValueError: fewer bytes than pixels.
    """
    kind = {0: "u", 1: "i"}.get(data.get("PixelRepresentation"))
    little = data.file_meta.TransferSyntaxUID.is_little_endian
    if kind is None or data.get("SamplesPerPixel") != 1 or little != (sys.byteorder == "little"):
        return None
    rows, columns = int(data.Rows), int(data.Columns)
    cells = np.dtype(f"{kind}{int(data.BitsAllocated) // 8}")
    return np.frombuffer(data.PixelData, cells, rows * columns).reshape(rows, columns)


def decode_here(path: Path, data: pydicom.Dataset) -> Stored:
    """Decode a compressed image in this process: raises anything, or ends the process."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _stored_through_pydicom(data)
    except Exception:  # each plugin raises its own kinds
        if data.file_meta.TransferSyntaxUID == RLELossless or not _is_whole(data):
            raise
        stored = _stored_through_simpleitk(path, data)
        if stored.shape[:2] != (data.Rows, data.Columns):
            raise
        return stored


def _check_header(path: Path, data: pydicom.Dataset) -> None:
    frames = int(data.get("NumberOfFrames") or 1)
    rows, columns = (int(data.get(name) or 0) for name in ("Rows", "Columns"))
    allocated, bits = (data.get(name) for name in ("BitsAllocated", "BitsStored"))
    high = _high_bit(data) if bits else None
    require(frames == 1, f"{path.name}: must hold one frame, got {frames}. Export single images.")
    check_pixels(columns, rows, path)
    require(
        allocated in (8, 16),
        f"{path.name}: must have 8 or 16 bits allocated, got {allocated}. Export it as 16-bit.",
    )
    require(
        bits is not None and high is not None and 1 <= bits <= high + 1 <= allocated,
        f"{path.name}: Bits Stored and High Bit must lie within the {allocated} bits allocated, "
        f"got {bits} and {high}. Export it again.",
    )


def _high_bit(data: pydicom.Dataset) -> int:
    high = data.get("HighBit")
    return int(data.BitsStored) - 1 if high is None else int(high)


def _cell_values(pixels: Stored, bits: int, high: int) -> Stored:
    """Values in the `bits` bits up to `high` of each pixel cell (PS3.5, 8.1.1), sign extended.

    What other bits of the cell hold, such as an overlay of old files, is no part of the value.
    """
    cell = 8 * pixels.dtype.itemsize
    native = np.array(pixels, pixels.dtype.newbyteorder("="), copy=None)
    if bits == cell or (high == bits - 1 and _fits(native, bits)):
        return native
    values = native if native.flags.writeable else native.copy()
    np.left_shift(values, cell - 1 - high, out=values)
    np.right_shift(values, cell - bits, out=values)
    return values


def _fits(pixels: Stored, bits: int) -> bool:
    """Whether whole cells are values of so many bits, as they nearly always are."""
    if pixels.dtype.kind == "u":
        return bool(pixels.max() < 2**bits)
    half = 2 ** (bits - 1)
    return bool(-half <= pixels.min() and pixels.max() < half)


def _stored_through_pydicom(data: pydicom.Dataset) -> Stored:
    syntax, bits = data.file_meta.TransferSyntaxUID, int(data.BitsStored)
    if syntax in (*JPEG2000TransferSyntaxes, *JPEGLSTransferSyntaxes):
        return np.asarray(pixel_array(data))
    pixels = pixel_array(data, correct_unused_bits=False)
    # the stream holds values, unless its samples need more bits: then it holds cells
    in_cells = syntax == RLELossless or (pixels.dtype.kind == "u" and pixels.max() >= 2**bits)
    return _cell_values(pixels, bits, _high_bit(data) if in_cells else bits - 1)


def _is_whole(data: pydicom.Dataset) -> bool:
    """Whether another decoder may be asked: the end marker FFD9 is there.

    SimpleITK fills what a short file lacks with whatever lies in memory, so it must not see one.
    """
    return b"\xff\xd9" in bytes(data.PixelData)[-16:]


def _stored_through_simpleitk(path: Path, data: pydicom.Dataset) -> Stored:
    """Undo what ITK's reader adds: the rescale, then the inversion of MONOCHROME1.

    ITK inverts within the range of the stored bits, ``2 ** BitsStored - 1 - value``, before the
    rescale (measured: RG1_J2KI.dcm, 803..26512 of 15 bits becomes 6255..31964).
    """
    pixels = np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), axis=0)
    slope, intercept = (
        float(data.get(f"Rescale{name}") or default)
        for name, default in (("Slope", 1), ("Intercept", 0))
    )
    if (slope, intercept) != (1.0, 0.0):
        pixels = np.rint((pixels - intercept) / slope).astype(np.int32)
    if data.PhotometricInterpretation == "MONOCHROME1":
        pixels = 2 ** int(data.BitsStored) - 1 - pixels.astype(np.int32)
    return pixels.astype(np.int16 if data.get("PixelRepresentation") else np.uint16)
