"""DICOM slices to predict on, as the series that they are of: one volume each."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from common.data.dicom_mark import is_dicom
from common.files import is_file

__all__ = ["series_entries"]

Entry = dict[str, Any]


def series_entries(entries: Sequence[Entry]) -> list[Entry]:
    """Replace the DICOM files among `entries` by their series; others stay as they are.

    Of the series of a patient the T1-weighted one is read, by its header (`choose_t1` of
    `common.data.brain_t1`); the others have a "reason". A patient whom headers do not name is told
    by the folder.

    Args:
        entries: one a file, as `common.data.image_datalist` gives them.

    Returns:
        Entries of the other files, then one for each series: "image" is the list of its files,
        "name" their folder.
    """
    slices = {str(entry["image"]): str(entry["name"]) for entry in entries if _is_slice(entry)}
    if not slices:
        return list(entries)
    from common.data.brain_t1 import (
        choose_t1,
        series_of,
    )  # SimpleITK and more, for those with DICOM

    series, skipped = series_of(map(Path, slices))
    merged = [entry for entry in entries if not _is_slice(entry)]
    merged += [
        {"image": str(path), "name": slices[str(path)], "reason": why} for path, why in skipped
    ]
    patients: dict[str, list[Any]] = {}
    for one in series:
        folder = str(PurePosixPath(slices[str(one.files[0])]).parent)
        patients.setdefault(one.patient or folder, []).append(one)
    for members in patients.values():
        chosen = choose_t1(members)
        for one in members:
            name = slices[str(one.files[0])]
            entry: Entry = {"image": [str(path) for path in one.files], "name": _folder(name)}
            if one is not chosen:
                why = (
                    "another series of the patient is" if chosen else "no series of the patient is"
                )
                entry |= {
                    "name": name,
                    "reason": f"{name}: must be T1-weighted; {why}, by its header.",
                }
            merged.append(entry)
    return merged


def _is_slice(entry: Entry) -> bool:
    path = entry["image"]
    one = isinstance(path, str) and "reason" not in entry and "index" not in entry
    return one and is_file(Path(path)) and is_dicom(path)


def _folder(name: str) -> str:
    """The folder of a series' first file; that file's name where it lies in none."""
    folder = str(PurePosixPath(name).parent)
    return name if folder == "." else folder
