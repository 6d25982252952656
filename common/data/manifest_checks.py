"""What must hold of a manifest: its entries, and that the files it lists are there."""

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.rows import Rows, coded, numbers
from common.files import is_relative, leads_below

__all__ = ["check_entries", "check_files"]

PARTS = ("training", "validation", "test")
NAMED = ("image", "mask")
CURE = "Prepare the data again with python -m data_prep."
SUSPICIOUS = ("..", "\\", ":", "\0", "\n/")  # with these a path may lead out of its folder
SPREAD = 0x9E3779B97F4A7C1  # a large odd number, by which rows of a stack are told apart

Hashes = npt.NDArray[np.int64]


def check_entries(manifest: Mapping[str, Any], name: str) -> None:
    """Check the entries of all parts: keys, unique images, no patient in two parts.

    Args:
        manifest: parts as lists, or as `Rows`.
        name: what the error calls it.

    Raises:
        InputError: one of them does not hold.
    """
    parts = {part: manifest[part] for part in PARTS}
    if all(isinstance(entries, Rows) for entries in parts.values()):
        if _rows_are_sound(parts):
            return
        parts = {part: list(rows) for part, rows in parts.items()}  # to name the fault
    _check_lists(parts, name)


def _check_lists(parts: Mapping[str, Any], name: str) -> None:
    seen_images: set[tuple[str, Any]] = set()
    part_of_patient: dict[str, str] = {}
    for part, entries in parts.items():
        require(
            isinstance(entries, list | Rows) and all(map(_is_entry, entries)),
            f"{name}: {part} must be a list of entries, each with the path of an image or a list "
            f"of such and a label that is not null, got something else. {CURE}",
        )
        for entry in entries:
            for key in ("image", "label", "patient"):
                require(
                    key in entry, f"{name}: every {part} entry must hold {key}, got {entry}. {CURE}"
                )
            for image in _paths(entry, ("image",)):
                row = entry.get("index")
                require(
                    (image, row) not in seen_images,
                    f"{name}: every image must be listed once, got {image} twice"
                    f"{'' if row is None else f' (row {row})'}. Remove one of them.",
                )
                seen_images.add((image, row))
            patient = str(entry["patient"])
            other = part_of_patient.setdefault(patient, part)
            require(
                other == part,
                f"{name}: every patient must be in one part only, got patient {patient} in {other} "
                f"and {part}. Put all images of a patient in one part.",
            )


def _rows_are_sound(parts: Mapping[str, Rows]) -> bool:
    """Whether columns are what entries must be, by the column; False where that is not sure."""
    filled = [rows for rows in parts.values() if len(rows)]
    for rows in filled:
        if any(rows.array(name).null_count for name in ("image", "label", "patient")):
            return False
        if rows.kind("image") != "text" or rows.kind("mask") not in ("", "text"):
            return False
    return _images_are_unique(filled) and _patients_are_apart(filled)


def _images_are_unique(parts: Iterable[Rows]) -> bool:
    """Whether no image is listed twice; a sum of hashes that is there twice says no."""
    images = []
    for rows in parts:
        hashes = _hashed(rows, "image")
        if "index" in rows.columns:
            index = np.nan_to_num(numbers(rows, "index"), nan=-1).astype(np.int64)
            hashes += (index + 1) * SPREAD
        images.append(hashes)
    return _are_different(images)


def _patients_are_apart(parts: Iterable[Rows]) -> bool:
    return _are_different([np.unique(_hashed(rows, "patient")) for rows in parts])


def _are_different(hashes: list[Hashes]) -> bool:
    together = np.sort(np.concatenate([np.zeros(0, np.int64), *hashes]))
    return bool((together[1:] != together[:-1]).all())


def _hashed(rows: Rows, name: str) -> Hashes:
    """The hash of each value of a column, as text."""
    hashes = array("q")
    for chunk in rows.array(name).chunks:
        values = chunk.to_pylist()
        hashes.extend(map(hash, values if rows.kind(name) == "text" else map(str, values)))
    return np.array(hashes, np.int64)


def check_files(manifest: Mapping[str, Any], root: Path, name: str) -> None:
    """Check that every listed file lies below `root`, links followed.

    Each folder is listed once, and of a name its hash is kept, so that a million files are quick.

    Raises:
        InputError: a path leads out of `root`, or a file is not there.
    """
    wanted, folders = array("q"), set[str]()
    for paths in _listed(manifest):
        _require_below(paths, name)
        folders.update([path.rpartition("/")[0] for path in paths])
        wanted.extend(map(hash, paths))
    known = array("q")
    for folder in folders:
        known.extend(_there(root, folder))
    listing = np.sort(np.array(known, np.int64))
    hashes = np.array(wanted, np.int64)
    missing = ~_among(hashes, listing)
    if missing.any():
        path = next(islice(chain.from_iterable(_listed(manifest)), int(missing.argmax()), None))
        raise InputError(
            f"{name}: every listed file must exist, got no {path}. "
            "Copy it back, or delete the manifest and run data_prep again."
        )


def _among(hashes: Hashes, listing: Hashes) -> npt.NDArray[np.bool_]:
    """Whether each hash is in a listing in ascending order."""
    if not len(listing):
        return np.zeros(len(hashes), np.bool_)
    order = np.argsort(hashes)
    places = np.searchsorted(listing, hashes[order])
    found = np.empty(len(hashes), np.bool_)
    found[order] = listing[np.minimum(places, len(listing) - 1)] == hashes[order]
    return found


def _require_below(paths: Sequence[str], name: str) -> None:
    """Refuse paths that lead out; only those that may are looked at one by one."""
    text = "\n".join(("", *paths))
    if any(sign in text for sign in SUSPICIOUS):
        require(
            all(map(is_relative, paths)),
            f"{name}: every listed file must lie below its folder, got a path that leads out "
            f"of it. {CURE}",
        )


def _listed(manifest: Mapping[str, Any]) -> Iterator[list[str]]:
    """Paths of images and masks, some at a time."""
    for entries in (manifest[part] for part in PARTS):
        if not isinstance(entries, Rows):
            yield [path for entry in entries for path in _paths(entry)]
            continue
        for key in NAMED:
            if entries.kind(key) == "text" and "index" in entries.columns:
                yield coded(entries, key)[1]  # a stack is listed by each of its rows
            elif entries.kind(key) == "text":
                for chunk in entries.array(key).chunks:
                    yield list(filter(None, chunk.to_pylist()))
            elif entries.kind(key):
                yield [path for entry in entries for path in _paths(entry, (key,))]


def _there(root: Path, folder: str) -> list[int]:
    """Hashes of the paths in a folder, if there is one, that do not lead out of `root`."""
    path = root / folder
    if not path.is_dir() or not leads_below(path, root):
        return []
    before = f"{folder}/" if folder else ""
    with os.scandir(path) as files:
        return [
            hash(before + file.name)
            for file in files
            if not file.is_symlink() or leads_below(Path(file.path), root)
        ]


def _is_entry(entry: Any) -> bool:
    """Whether paths and label of an entry are of the right kind, where it has them."""
    if not isinstance(entry, dict) or entry.get("label", 0) is None:
        return False
    values = [entry[key] for key in NAMED if key in entry]
    return all(
        isinstance(value, str)
        or (isinstance(value, list) and value != [] and all(isinstance(v, str) for v in value))
        for value in values
    )


def _paths(entry: Mapping[str, Any], keys: Iterable[str] = NAMED) -> list[str]:
    values = [entry[key] for key in keys if key in entry]
    return [path for value in values for path in ([value] if isinstance(value, str) else value)]
