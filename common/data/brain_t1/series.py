"""DICOM series of a folder tree: told apart by their headers, and T1 among them found.

A series is what shares the series' UID, the orientation and the size of its slices. Whether it is
T1-weighted is read from what the standard has for it (echo and inversion times, scanning sequence)
and from the words of its description; the words are looked at and never kept.
"""

import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from common.checks import InputError, require
from common.data.dicom import facts_of, open_dicom
from common.data.dicom_mark import is_dicom
from common.data.reading import reading

__all__ = ["Series", "choose_t1", "is_t1", "ordered", "series_in", "series_of"]

T1_WORDS = re.compile(
    r"(?<![a-z0-9])t1|mp-?2?rage|spgr|bravo|flash3d|3d ?tfe|tfl3d|ir-?fspgr", re.I
)
OTHER_WORDS = re.compile(
    r"t2|flair|dwi|diff|adc|swi|bold|asl|perf|tof|angio|local|scout|survey|calib|field ?map|pd\b|"
    r"mip|proj|mpr|fmri|rest",
    re.I,
)
LONGEST_ECHO_MS = 30.0
MINIMUM_SLICES = 16
GAP = 0.1  # share of the usual distance by which one may differ


@dataclass(frozen=True)
class Series:
    """One series.

    Args:
        files: its slices, or its one multi-frame file, sorted by name.
        patient: what the header calls the patient; identifying, for grouping only.
        age: years, None if the header has none.
        sex: "M", "F" or "".
        slices: number of frames.
        spacing_mm: distance of slices by the header, and sides of a pixel; 0 where it says none.
        points: how much its header and description speak for a T1-weighted whole head.
    """

    files: tuple[Path, ...]
    patient: str
    age: float | None
    sex: str
    slices: int
    spacing_mm: tuple[float, float, float]
    points: int


def series_in(folder: Path) -> list[Series]:
    """Series of all DICOM files below a folder, in the order of their first files."""
    return series_of(sorted(path for path in folder.rglob("*") if path.is_file()))[0]


def series_of(files: Iterable[Path]) -> tuple[list[Series], list[tuple[Path, str]]]:
    """Group files.

    Args:
        files: DICOM or not; what is no DICOM is passed over.

    Returns:
        The series, and files that cannot be used with the reason.
    """
    groups: dict[tuple[str, ...], list[tuple[Path, pydicom.Dataset]]] = {}
    skipped = []
    for path in files:
        if path.name.lower() == "dicomdir" or not is_dicom(path):
            continue
        try:
            data = open_dicom(path, pixels=False)
            groups.setdefault(_identity(data), []).append((path, data))
        except InputError as error:
            skipped.append((path, str(error)))
    return [_series(members) for members in groups.values()], skipped


def is_t1(series: Series) -> bool:
    """Whether header and description speak for a T1-weighted volume."""
    return series.points > 0


def choose_t1(series: Sequence[Series]) -> Series | None:
    """Choose of one patient's series: most points, then the thinnest slices, then most of them."""
    able = [one for one in series if is_t1(one) and one.slices >= MINIMUM_SLICES]
    return max(able, key=lambda one: (one.points, -max(one.spacing_mm), one.slices), default=None)


def ordered(files: Sequence[Path]) -> list[Path]:
    """Files of one series along the normal of their slices.

    Raises:
        InputError: two slices at one place (several volumes), a slice that is missing, or a header
            without position.
    """
    if len(files) == 1:
        return list(files)
    places = []
    for path in files:
        with reading(path, "DICOM file with Image Position and Image Orientation"):
            data = open_dicom(path, pixels=False)
            row, column = np.reshape([float(x) for x in data.ImageOrientationPatient], (2, 3))
            position = np.array([float(x) for x in data.ImagePositionPatient])
        places.append(float(position @ np.cross(row, column)))
    order = np.argsort(places, kind="stable")
    steps = np.diff(np.sort(places))
    usual = float(np.median(steps))
    require(
        usual > 0 and float(steps.min()) > (1 - GAP) * usual,
        f"DICOM series: must be one volume, got several slices at one place of {len(files)}. "
        "Export each volume (echo, time point) as a series of its own.",
    )
    require(
        float(steps.max()) < (1 + GAP) * usual,
        f"DICOM series: slices must lie at equal distances, got {steps.max():.2f} mm where "
        f"{usual:.2f} mm are usual: slices are missing. Copy the series again.",
    )
    return [files[index] for index in order]


def _identity(data: pydicom.Dataset) -> tuple[str, ...]:
    turned = [round(float(x), 3) + 0.0 for x in data.get("ImageOrientationPatient") or ()]
    uid = str(data.get("SeriesInstanceUID") or "")
    return uid, str(turned), f"{data.get('Rows')}x{data.get('Columns')}"


def _series(members: list[tuple[Path, pydicom.Dataset]]) -> Series:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # their texts quote header values
        data = members[0][1]
        facts = facts_of(data)
        pixel = [_number(x) for x in data.get("PixelSpacing") or (0, 0)]
        step = _number(data.get("SpacingBetweenSlices") or data.get("SliceThickness"))
        frames = int(_number(data.get("NumberOfFrames")) or 1)
        slices = len(members) if len(members) > 1 else frames
        return Series(
            files=tuple(sorted(path for path, _ in members)),
            patient=facts["patient"],
            age=facts.get("age"),
            sex=facts.get("sex", ""),
            slices=slices,
            spacing_mm=(step, pixel[0], pixel[-1]),
            points=_points(data, slices),
        )


def _points(data: pydicom.Dataset, slices: int) -> int:
    """Positive for T1: words count most, then times of echo and inversion, then what a head is."""
    if str(data.get("Modality") or "").upper() != "MR" or slices < MINIMUM_SLICES:
        return 0
    names = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    words = " ".join(str(data.get(name) or "") for name in names)
    echo, inversion = _number(data.get("EchoTime")), _number(data.get("InversionTime"))
    kind = [str(text).upper() for text in data.get("ImageType") or ()]
    if "LOCALIZER" in kind or "PROJECTION IMAGE" in kind or echo > LONGEST_ECHO_MS:
        return 0
    points = 4 * bool(T1_WORDS.search(words)) - 4 * bool(OTHER_WORDS.search(words))
    points += 2 * (0 < echo <= 10) + (300 <= inversion <= 1300)
    points += str(data.get("MRAcquisitionType") or "").upper() == "3D"
    return max(points - 2 * (inversion > 1600) - ("DERIVED" in kind), 0)


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
