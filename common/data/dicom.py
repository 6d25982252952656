"""DICOM: open, decode with whichever reader can, and show as a viewer would."""

import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from common.checks import require
from common.data.dicom_display import display, display_colour
from common.data.dicom_stored import Stored, stored_values
from common.data.reading import reading

__all__ = [
    "dicom_facts",
    "facts_of",
    "open_dicom",
    "read_dicom",
    "read_dicom_colour",
]

Array = npt.NDArray[np.float32]
T = TypeVar("T")

logging.getLogger("pydicom").setLevel(logging.CRITICAL)  # it logs header values

NOBODY = re.compile(
    r"anon|anonym|anonymous|anonymi[sz]ed?|deidentified|unknown|unnamed|noname|none|null|nan?|"
    r"notavailable|missing|removed|x{3,}|0*"
)
BODY_PARTS = (  # defined terms of PS3.16, annex L, that say what an image shows
    *("CHEST", "THORAX", "LUNG", "HEART", "BREAST", "RIB", "RIBS", "STERNUM", "CLAVICLE"),
    *("ABDOMEN", "PELVIS", "LIVER", "KIDNEY", "BLADDER", "UTERUS", "PROSTATE", "WHOLEBODY"),
    *("HEAD", "BRAIN", "SKULL", "FACE", "ORBIT", "EYE", "RETINA", "JAW", "TEETH", "NECK"),
    *("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "SHOULDER", "ARM", "ELBOW", "FOREARM"),
    *("WRIST", "HAND", "FINGER", "HIP", "LEG", "THIGH", "KNEE", "CALF", "ANKLE", "FOOT", "TOE"),
    "EXTREMITY",
)
MOST_AGE = 120
OLDEST_AGE = 90


def open_dicom(path: str | Path, pixels: bool = True) -> pydicom.Dataset:
    """Read the header, and the undecoded pixels if asked.

    Raises:
        InputError: missing, not DICOM or truncated.
    """
    path = Path(path)
    with reading(path, "DICOM file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their texts quote header values
        return _opened(path, pixels)


def _opened(path: Path, pixels: bool = True) -> pydicom.Dataset:
    data = pydicom.dcmread(path, stop_before_pixels=not pixels, force=True)
    require(
        bool(data.get("Rows") or data.get("SOPClassUID")),
        f"{path.name}: must be DICOM, got a file without a DICOM header. "
        "Copy it again or leave it out.",
    )
    _name_syntax(data)
    return data


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
    with reading(path, "DICOM image whose header describes its pixels"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = _opened(path)
        return show(stored_values(path, data), data, path.name)


def dicom_facts(path: str | Path) -> dict[str, Any]:
    """The few header fields that data preparation uses.

    Returns:
        ``patient`` (identifying: for grouping only, never written; "" for codes such as
        ``Anonymous``, ``0`` or ``N/A``, which would make all films those of one), ``burned_in``
        (bool), and the allow-list ``modality``, ``view``, ``eye`` ("L" or "R"), ``sex`` and ``age``
        (whole years, 90 stands for 90 and above, as HIPAA's safe harbour asks),
        each only where it is there.
    """
    with reading(Path(path), "DICOM file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return facts_of(open_dicom(path, pixels=False))


def facts_of(data: pydicom.Dataset) -> dict[str, Any]:
    """Return the same of a header that was read."""
    facts: dict[str, Any] = {
        "patient": _identity(data),
        "burned_in": str(data.get("BurnedInAnnotation") or "").strip().upper() == "YES",
    }
    for key, name, allowed in (
        (
            "modality",
            "Modality",
            (
                *("CR", "DX", "RG", "RF", "XA", "MG", "IO", "PX", "CT", "MR", "US", "NM", "PT"),
                *("OP", "OPT", "XC", "ES", "SM", "SEG", "OT"),
            ),
        ),
        ("view", "ViewPosition", ("PA", "AP", "LL", "RL", "LLO", "RLO", "LAO", "RAO")),
        ("body_part", "BodyPartExamined", BODY_PARTS),
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


def _identity(data: pydicom.Dataset) -> str:
    """Patient ID, else Patient's Name; "" where both are what anonymisers write for everybody."""
    for name in ("PatientID", "PatientName"):
        text = str(data.get(name) or "").strip()
        letters = re.sub(r"[\W_]+", "", text).casefold()
        if not NOBODY.fullmatch(letters) and not re.fullmatch(r"-\d+", text):
            return text
    return ""


def _name_syntax(data: pydicom.Dataset) -> None:
    """Old files have no meta header; what pydicom found while reading them is their syntax."""
    if "TransferSyntaxUID" not in data.file_meta:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _age_years(text: str) -> int | None:
    """Whole years of an age string (PS3.5, VR AS: 3 digits and D, W, M or Y); bare digits too.

    Above 120 years it is a code for "unknown", such as 999Y.
    """
    per_year = {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}
    unit = text[-1:] if text[-1:] in per_year else "Y"
    digits = text.rstrip("DWMY")
    if not re.fullmatch(r"[0-9]{1,3}", digits):
        return None
    years = int(digits) / per_year[unit]
    return int(years) if years <= MOST_AGE else None
