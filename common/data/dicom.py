"""DICOM: open, decode with whichever reader can, and show as a viewer would.

pydicom decodes (JPEG 2000 and RLE with pylibjpeg, other JPEG with GDCM); what it cannot, such as
12-bit JPEG Extended, SimpleITK decodes. SimpleITK inverts MONOCHROME1 and applies the rescale while
pydicom does neither, so its result is turned back into stored values first and both go through the
same steps.
"""

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
import SimpleITK as sitk
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.checks import InputError, require
from common.data.dicom_display import display, display_colour

__all__ = ["dicom_facts", "is_dicom", "open_dicom", "read_dicom", "read_dicom_colour"]

Array = npt.NDArray[np.float32]
Stored = npt.NDArray[Any]
T = TypeVar("T")

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it logs header values
sitk.ProcessObject.GlobalWarningDisplayOff()  # type: ignore[no-untyped-call]  # SWIG

OLDEST_AGE = 90


def is_dicom(path: str | Path) -> bool:
    """Whether the file is named ``.dcm`` or carries the DICOM mark (PS3.10, section 7.1)."""
    path = Path(path)
    if path.suffix.lower() in (".dcm", ".dicom"):
        return True
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def open_dicom(path: str | Path, pixels: bool = True) -> pydicom.Dataset:
    """Read the header, and the undecoded pixels if asked.

    Raises:
        InputError: missing, not DICOM or truncated.
    """
    path = Path(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their texts quote header values
            data = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)
            require(
                bool(data.get("SOPClassUID") or data.get("Rows")),
                f"{path.name}: must be DICOM, got a file without a DICOM header. "
                "Copy it again or leave it out.",
            )
            _name_syntax(data)
            return data
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. Check the path.") from None
    except InputError:
        raise
    except Exception as error:  # on damaged bytes the parser raises anything
        raise _damaged(path, error) from None


def read_dicom(path: str | Path) -> Array:
    """Read one image as a viewer shows it: LUTs or window, black background, patient upright.

    Returns:
        (H, W) float32 in [0, 1]; colour as luminance.

    Raises:
        InputError: truncated, no pixel data, several frames, an unknown bit depth, a constant
            image, or a transfer syntax that no reader decodes.
    """
    return _shown(Path(path), display)


def read_dicom_colour(path: str | Path) -> npt.NDArray[np.uint8]:
    """Read one image in colour, as ophthalmic photography is stored: RGB, YBR, palette or grey.

    Returns:
        (H, W, 3) in 0..255; grey as `read_dicom` shows it.

    Raises:
        InputError: as `read_dicom`.
    """
    return _shown(Path(path), display_colour)


def _shown(path: Path, show: Callable[[Stored, pydicom.Dataset, str], T]) -> T:
    """Open, decode and `show` one image."""
    data = open_dicom(path)
    require(
        "PixelData" in data,
        f"{path.name}: must hold pixel data, got none. Leave it out (a report or structure file).",
    )
    frames = int(data.get("NumberOfFrames") or 1)
    require(frames == 1, f"{path.name}: must hold one frame, got {frames}. Export single images.")
    bits = data.get("BitsAllocated")
    require(
        bits in (8, 16),
        f"{path.name}: must have 8 or 16 bits allocated, got {bits}. Export it as 16-bit.",
    )
    stored = _stored(path, data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return show(stored, data, path.name)
    except InputError:
        raise
    except Exception as error:  # a table or window that contradicts the pixels
        raise InputError(
            f"{path.name}: the header must describe its pixels, got one that does not "
            f"({type(error).__name__}). Re-export the image."
        ) from None


def dicom_facts(path: str | Path) -> dict[str, Any]:
    """The few header fields that data preparation uses.

    Returns:
        ``patient`` (identifying: for grouping only, never written), ``burned_in`` (bool), and the
        allow-list ``modality``, ``view``, ``eye`` ("L" or "R"), ``sex`` and ``age`` (whole years,
        90 stands for 90 and above, as HIPAA's safe harbour asks), each only where it is there.
    """
    data = open_dicom(path, pixels=False)
    facts: dict[str, Any] = {
        "patient": str(data.get("PatientID") or data.get("PatientName") or ""),
        "burned_in": str(data.get("BurnedInAnnotation") or "").strip().upper() == "YES",
    }
    for key, name, allowed in (
        (
            "modality",
            "Modality",
            ("CR", "DX", "RG", "RF", "XA", "CT", "MR", "US", "NM", "OP", "OT"),
        ),
        ("view", "ViewPosition", ("PA", "AP", "LL", "RL", "LLO", "RLO", "LAO", "RAO")),
        ("eye", "ImageLaterality", ("L", "R")),
        ("sex", "PatientSex", ("M", "F", "O")),
    ):
        value = str(data.get(name) or "").strip().upper()
        if value in allowed:
            facts[key] = value
    age = _age_years(str(data.get("PatientAge") or "").strip().upper())
    if age is not None:
        facts["age"] = min(age, OLDEST_AGE)
    return facts


def _name_syntax(data: pydicom.Dataset) -> None:
    """Old files have no meta header; what pydicom found while reading them is their syntax."""
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _age_years(text: str) -> int | None:
    """Whole years of an age string (PS3.5, VR AS: 3 digits and D, W, M or Y); bare digits too."""
    per_year = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
    unit = text[-1:] if text[-1:] in per_year else "Y"
    digits = text.rstrip("DWMY")
    return int(int(digits) / per_year[unit]) if digits.isdigit() and int(digits) < 1000 else None


def _stored(path: Path, data: pydicom.Dataset) -> Stored:
    """Stored values (PS3.3 C.7.6.3), (H, W) or (H, W, 3), from the first reader that can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.asarray(data.pixel_array)
    except Exception as error:  # each plugin raises its own kinds
        if not _is_whole_compressed(data):
            raise _damaged(path, error) from None
        try:
            stored = _stored_through_simpleitk(path, data)
        except RuntimeError:
            raise _damaged(path, error) from None
        if stored.shape[:2] != (data.Rows, data.Columns):
            raise _damaged(path, error) from None
        return stored


def _is_whole_compressed(data: pydicom.Dataset) -> bool:
    """Whether another decoder may be asked: JPEG family, and the end marker FFD9 is there.

    SimpleITK fills what a short file lacks with whatever lies in memory, so it must not see one.
    """
    syntax = getattr(data.file_meta, "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_compressed:
        return False
    return b"\xff\xd9" in bytes(data.PixelData)[-16:]


def _stored_through_simpleitk(path: Path, data: pydicom.Dataset) -> Stored:
    """Undo what ITK's reader adds: the rescale, then the inversion of MONOCHROME1.

    ITK inverts within the range of the stored bits, ``2 ** BitsStored - 1 - value``, before the
    rescale (measured: RG1_J2KI.dcm, 803..26512 of 15 bits becomes 6255..31964).
    """
    with _quiet_stderr():
        pixels = np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), axis=0)
    slope, intercept = (
        float(data.get(f"Rescale{name}", default))
        for name, default in (("Slope", 1), ("Intercept", 0))
    )
    if (slope, intercept) != (1.0, 0.0):
        pixels = np.rint((pixels - intercept) / slope).astype(np.int32)
    if data.PhotometricInterpretation == "MONOCHROME1":
        pixels = 2 ** int(data.BitsStored) - 1 - pixels.astype(np.int32)
    return np.asarray(pixels)


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Keep the lines that the C libraries print for each codec they try off the terminal."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path.name}: must be a whole DICOM file in a known compression, got a truncated or "
        f"undecodable one ({type(error).__name__}). Copy it again or re-export it uncompressed."
    )
