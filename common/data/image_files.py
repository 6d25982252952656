"""What is to be predicted on, as a data set of files: the images of each, or why there are none."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from common.checks import InputError, require
from common.data.datalist import image_datalist, image_slices
from common.data.image import is_volume
from common.data.packed import packed
from common.data.reading import has_room
from common.data.series_entries import series_entries

__all__ = ["ImageFiles"]

Entry = dict[str, Any]


class ImageFiles(Dataset[list[Entry]]):
    """Files, each with its images as the network sees them; the slices of a volume in 2D.

    An item is the list of a file's images: the entry with its "image" loaded, "source" (its path
    or paths), "name" and in 2D "slice" (-1 unless it is one of a volume). Of a file that cannot be
    read it is one entry with the "reason" and no image: what the readers of `common.data` raise for
    a file is an `InputError`. Any other error still stops the run, but for a lack of memory while
    others have room. It may be read in worker processes.

    Args:
        source: a folder, file or datalist (`common.data.image_datalist`), or a list of those, of
            entries, or of arrays. It is looked at when the first item is asked for. What a list
            holds and is not there is an item with its reason; a single one raises.
        transform: applied to an entry with "image", "name" and "slice".
        spatial_dims: 2 or 3.
        checks: each is called with an entry before its file is read, in the process that reads it.
            It raises `InputError` to refuse the file; what it returns is added to the entry.
        features: of a model that reads tables: what its data say of their columns.
    """

    def __init__(
        self,
        source: Any,
        transform: Callable[[Any], Any],
        spatial_dims: int = 2,
        checks: Sequence[Callable[[Entry], Mapping[str, Any]]] = (),
        features: Mapping[str, Any] | None = None,
    ) -> None:
        require(
            spatial_dims in (2, 3), f"ImageFiles: spatial_dims must be 2 or 3, got {spatial_dims}."
        )
        self.source = source
        self.transform = transform
        self.spatial_dims = spatial_dims
        self.checks = checks
        self.features = features

    def of(self, source: Any) -> "ImageFiles":
        """Return the same for other files."""
        other = copy(self)
        other.__dict__.pop("entries", None)
        other.source = source
        return other

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """One for each file; in 3D the DICOM files of a series are one."""
        if isinstance(self.source, str | Path):
            entries = image_datalist(self.source, self.features)
        else:
            entries = _entries(self.source, self.features)
        return packed(series_entries(entries) if self.spatial_dims == 3 else entries)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.entries)

    def __getitem__(self, index: int) -> list[Entry]:
        """Read a file: its images, or one entry with the reason why there is none."""
        entry = self.entries[index]
        if "reason" in entry:
            return [entry]
        if isinstance(entry["image"], str | list):
            entry = {**entry, "source": entry["image"]}
        try:
            for check in self.checks:
                entry = {**entry, **check(entry)}
        except InputError as error:
            return [_left_out(entry, str(error))]
        parts = image_slices(entry) if self.spatial_dims == 2 else [entry]
        return [self._read(part) for part in parts]

    def chunks(self, size: int, start: Iterable[int] | None = None) -> Iterator[list[int]]:
        """Yield the numbers of files to read at once: `size`, or one that may have many slices.

        Args:
            size: files at most.
            start: the numbers of those to read; all unless given.
        """
        chunk: list[int] = []
        for index in range(len(self)) if start is None else start:
            if self._has_many(self.entries[index]):
                yield from filter(None, (chunk, [index]))
                chunk = []
            else:
                chunk.append(index)
            if len(chunk) >= size:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _has_many(self, entry: Entry) -> bool:
        first = entry["image"][0] if isinstance(entry["image"], list) else entry["image"]
        one = self.spatial_dims == 3 or "slice" in entry or "index" in entry
        return not one and isinstance(first, str) and is_volume(first)

    def _read(self, entry: Entry) -> Entry:
        try:
            return dict(self.transform(entry))
        except Exception as error:
            reason = _reason(error)
            if reason is None:
                raise
            return _left_out(entry, reason)


def _entries(source: Iterable[Any], features: Mapping[str, Any] | None) -> list[Entry]:
    """Entries of all that a list holds, named after their paths below what is common to them.

    A file that several paths lead to is there once.
    """
    items = list(source)
    folders = [_folder(item) for item in items if isinstance(item, str | Path) and _is_there(item)]
    base = _common(folders) if len(folders) > 1 else ""
    entries: list[Entry] = []
    seen: set[tuple[str, int | None]] = set()
    for number, item in enumerate(items):
        if isinstance(item, np.ndarray | Tensor):
            entries.append({"image": item, "name": f"array {number}"})
        elif isinstance(item, Mapping) and "image" in item:
            entries.append({"name": f"entry {number}", **item})
        elif isinstance(item, str | Path) and str(item):
            listed = _listed(item, base, features)
            entries += listed if str(item).lower().endswith(".json") else _once(listed, seen)
        else:
            got = "an empty text" if item == "" else type(item).__name__
            reason = f"item {number}: must be a path or an array, got {got}. Leave it out."
            entries.append(_left_out({"image": "", "name": f"item {number}"}, reason))
    return entries


def _once(entries: Iterable[Entry], seen: set[tuple[str, int | None]]) -> list[Entry]:
    """Leave out files, or rows of one, that were named before: paths may overlap."""
    new = []
    for entry in entries:
        key = (str(Path(str(entry["image"])).absolute()), entry.get("index"))
        if key not in seen:
            new.append(entry)
        seen.add(key)
    return new


def _listed(path: str | Path, base: str, features: Mapping[str, Any] | None) -> list[Entry]:
    """Entries of a path; where it is not there, one that says so."""
    try:
        entries = image_datalist(path, features)
    except (InputError, OSError, ValueError) as error:
        reason = str(error) if isinstance(error, InputError) else f"{path}: {type(error).__name__}."
        return [_left_out({"image": str(path), "name": Path(path).name or str(path)}, reason)]
    inside = os.path.relpath(_folder(path), base) if base else "."
    if inside == "." or str(path).lower().endswith(".json"):
        return entries
    return [{**entry, "name": (Path(inside) / entry["name"]).as_posix()} for entry in entries]


def _is_there(path: str | Path) -> bool:
    try:
        return str(path) != "" and Path(path).exists()
    except (OSError, ValueError):  # no file can have that name
        return False


def _folder(path: str | Path) -> Path:
    whole = Path(path).absolute()
    return whole if whole.is_dir() else whole.parent


def _common(folders: Sequence[Path]) -> str:
    try:
        return os.path.commonpath(folders)
    except ValueError:  # on two drives
        return ""


def _left_out(entry: Entry, reason: str) -> Entry:
    return {**entry, "reason": reason}


def _reason(error: BaseException | None) -> str | None:
    """Why a file is left out, from what caused `error`: MONAI's Compose wraps what it raises."""
    while error is not None:
        if isinstance(error, InputError):
            return str(error)
        if isinstance(error, MemoryError) and has_room():
            return "reading it takes more memory than there is. Shrink it or leave it out."
        error = error.__cause__
    return None
