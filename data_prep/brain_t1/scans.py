"""The heads of a source: NIfTI files and DICOM series, and which of them are T1-weighted."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.data.brain_t1 import choose_t1, series_of
from common.data.brain_t1.series import Series
from common.data.dicom_mark import is_dicom
from data_prep.machinery import Walk, walk

__all__ = ["Scan", "find_scans"]

T1 = re.compile(r"(?<![a-z0-9])t1(w|$|[^0-9a-z])|mprage", re.I)
OTHER = re.compile(
    r"(?<![a-z0-9])(t2|t2w|t2star|flair|pd|pdw|dwi|dti|bold|asl|swi|adc|cbf|mask|seg|aseg|label|"
    r"labels|dseg|probseg|dlmuse|sbref|epi|magnitude[12]?|phase\w*|fieldmap|b0|b1|angio|ct|pet)"
    r"(?![a-z0-9])",
    re.I,
)
SUBJECT = re.compile(r"sub-([A-Za-z0-9]+)")
NOT_T1 = "named as another contrast or as a mask; T1-weighted heads are read"


@dataclass(frozen=True)
class Scan:
    """One head of the source.

    Args:
        name: what the source calls it: its file, or the folder and first file of its series.
        files: one NIfTI file, or the files of one DICOM series.
        patient: what the source calls the patient.
        age: years by the header, None if it has none.
        sex: "M", "F" or "" by the header.
    """

    name: str
    files: tuple[Path, ...]
    patient: str
    age: float | None = None
    sex: str = ""

    @property
    def source(self) -> Any:
        """What `common.data.brain_t1.read_head` takes."""
        one_file = len(self.files) == 1 and not is_dicom(self.files[0])
        return self.files[0] if one_file else list(self.files)


def find_scans(source: Path) -> tuple[list[Scan], Walk]:
    """Find the heads below a folder, and what is left out with its reason."""
    walked = walk(
        source, lambda path: path.name.lower().endswith((".nii", ".nii.gz")) or is_dicom(path)
    )
    nifti = [path for path in walked.files if not is_dicom(path)]
    scans = []
    for path in nifti:
        name = path.relative_to(source).as_posix()
        if OTHER.search(path.name) and not T1.search(path.name):
            walked.skipped.append({"file": name, "reason": NOT_T1})
            continue
        scans.append(Scan(name, (path,), _patient(path, source)))
    scans += _dicom(sorted(set(walked.files) - set(nifti)), source, walked)
    return scans, walked


def _patient(path: Path, source: Path) -> str:
    """The subject of a BIDS name, of its folders, or else the file's name."""
    subject = SUBJECT.search(path.relative_to(source).as_posix())
    return subject[1] if subject else re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.I)


def _dicom(files: list[Path], source: Path, walked: Walk) -> list[Scan]:
    """One T1-weighted series for each patient; the others are listed."""
    series, skipped = series_of(files)
    for path, reason in skipped:
        walked.skipped.append({"file": path.relative_to(source).as_posix(), "reason": reason})
    patients: dict[str, list[Series]] = {}
    for one in series:
        patients.setdefault(one.patient or _folder(one, source), []).append(one)
    scans = []
    for patient, members in patients.items():
        chosen = choose_t1(members)
        for one in members:
            name = one.files[0].relative_to(source).as_posix()
            if one is chosen:
                scans.append(Scan(name, one.files, patient, one.age, one.sex))
                continue
            better = (
                "another series of the patient is taken" if chosen else "none of the patient is"
            )
            reason = f"DICOM series of {one.slices} slices: not the T1-weighted head; {better}"
            walked.skipped.append({"file": name, "reason": reason})
    return scans


def _folder(series: Series, source: Path) -> str:
    """The first folder stands for a patient whom the headers do not name."""
    parts = series.files[0].relative_to(source).parts
    return parts[0] if len(parts) > 1 else "patient"
