"""The manifest of many images: a small ``manifest.json``, and beside it files of columns.

::

    manifest.json          source, licence, ...; "tables": name -> {"file", "sha256", "rows"}
    manifest/training-<12 digits of its SHA-256>.arrow     one entry a row, likewise other parts
    manifest/sha256-....arrow, manifest/origins-....arrow  rows of "name" and "value", by name

A manifest has this form from `MOST` images on, and else is JSON alone. The name of a table says
what it holds, so that a new manifest never takes away a table of the old one before it is there.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, overload

import numpy as np

from common.checks import require
from common.data.row_file import write_rows
from common.data.rows import CURE, Rows
from common.files import is_relative

__all__ = [
    "MOST",
    "Lookup",
    "check_tables",
    "open_tables",
    "remove_others",
    "signature",
    "write_tables",
]

MOST = 100_000  # images of a manifest that is JSON alone
FOLDER = "manifest"
PARTS = ("training", "validation", "test")
LOOKUPS = ("sha256", "origins")
DIGITS = 12


class Lookup(Mapping[str, Any]):
    """What a table says of names: a mapping whose names are in the order of Python's texts.

    Args:
        rows: of "name" and "value", by name.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[str]:
        return (row["name"] for row in self.rows)

    def __getitem__(self, name: str) -> Any:
        low, high = 0, len(self.rows)
        while low < high:
            middle = (low + high) // 2
            if self.rows[middle]["name"] < name:
                low = middle + 1
            else:
                high = middle
        if low == len(self.rows) or self.rows[low]["name"] != name:
            raise KeyError(name)
        return self.rows[low]["value"]

    def spread(self, most: int) -> dict[str, Any]:
        """Return some of the names with what is said of them, evenly from first to last."""
        places = np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(np.int64)
        return {row["name"]: row["value"] for row in self.rows.take(np.unique(places))}


class _Pairs(Sequence[dict[str, Any]]):
    """The rows of a mapping, "name" and "value" by name, each made when it is asked for."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values, self._names = values, sorted(values)

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, place: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, place: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(place, slice):
            return list(map(self._row, self._names[place]))
        return self._row(self._names[place])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._row, self._names)

    def _row(self, name: str) -> dict[str, Any]:
        return {"name": name, "value": self._values[name]}


def signature(manifest: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the entries of all parts and of the digests of the files.

    It is that of ``json.dumps([training, validation, test, sha256], sort_keys=True)``, a text that
    is never held as a whole.
    """
    state = hashlib.sha256(b"[")
    dump = json.JSONEncoder(sort_keys=True).encode
    for part in PARTS:
        state.update(b"[")
        for first, entry in _first(manifest[part]):
            state.update(("" if first else ", ").encode() + dump(entry).encode())
        state.update(b"], ")
    state.update(b"{")
    digests = manifest["sha256"]
    names = digests if isinstance(digests, Lookup) else sorted(digests)
    for first, name in _first(names):
        pair = f"{dump(name)}: {dump(digests[name])}"
        state.update(("" if first else ", ").encode() + pair.encode())
    state.update(b"}]")
    return state.hexdigest()


def write_tables(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write the tables of a manifest; return what ``manifest.json`` is to hold.

    Raises:
        OSError: the disk is full or the folder cannot be written.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    lookups = {name: _Pairs(manifest[name]) for name in LOOKUPS if name in manifest}
    tables = {**{part: manifest[part] for part in PARTS}, **lookups}
    header = {key: value for key, value in manifest.items() if key not in tables}
    header["tables"] = {name: _write(folder, name, rows) for name, rows in tables.items()}
    header["fingerprint"] = signature(manifest)[:DIGITS]
    return header


def _write(folder: Path, name: str, rows: Any) -> dict[str, Any]:
    partial = folder / FOLDER / f".{name}.partial"
    try:
        write_rows(partial, rows)
        digest = _digest(partial)
        file = f"{FOLDER}/{name}-{digest[:DIGITS]}.arrow"
        partial.replace(folder / file)
    finally:
        partial.unlink(missing_ok=True)
    return {"file": file, "rows": len(rows), "sha256": digest}


def remove_others(folder: Path, header: Mapping[str, Any]) -> None:
    """Remove tables of earlier manifests, after the new one is there."""
    kept = {Path(table["file"]).name for table in header.get("tables", {}).values()}
    for path in (folder / FOLDER).glob("*.arrow"):
        if path.name not in kept:
            path.unlink(missing_ok=True)
    if not kept and (folder / FOLDER).is_dir() and not any((folder / FOLDER).iterdir()):
        (folder / FOLDER).rmdir()


def open_tables(folder: Path, header: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a manifest: what ``manifest.json`` holds, and its tables as `Rows` and `Lookup`.

    Args:
        folder: of the manifest.
        header: what ``manifest.json`` holds; one without tables comes back as it is.
        where: what an error calls it.

    Raises:
        InputError: a table is missing, damaged, or has other rows than it should.
    """
    if "tables" not in header:
        return dict(header)
    tables = header["tables"]
    require(
        isinstance(tables, dict)
        and all(
            isinstance(t, dict) and {"file", "rows", "sha256"} <= set(t) for t in tables.values()
        )
        and {*PARTS, "sha256"} <= set(tables),
        f"{where}: tables must name file, rows and sha256 of {', '.join(PARTS)} and sha256, got "
        f"something else. {CURE}",
    )
    manifest = {key: value for key, value in header.items() if key not in ("tables", "fingerprint")}
    for name, table in tables.items():
        file = str(table["file"])
        require(is_relative(file), f"{where}: tables must lie below its folder, got {file}. {CURE}")
        rows = Rows(folder / file)
        require(
            len(rows) == table["rows"],
            f"{folder / file}: must have {table['rows']} rows, got {len(rows)}. {CURE}",
        )
        columns = {"name", "value"} if name in LOOKUPS else {"image", "label", "patient"}
        missing = sorted(columns - set(rows.columns)) if len(rows) else []
        require(
            not missing,
            f"{folder / file}: must have a column {', '.join(missing)}, got none. {CURE}",
        )
        manifest[name] = Lookup(rows) if name in LOOKUPS else rows
    return manifest


def check_tables(folder: Path, header: Mapping[str, Any]) -> None:
    """Refuse tables whose bytes are not those that were written.

    Raises:
        InputError: a table is damaged.
    """
    for table in header.get("tables", {}).values():
        path = folder / str(table["file"])
        require(
            _digest(path) == table["sha256"],
            f"{path}: must be as it was written, got another SHA-256. {CURE}",
        )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first(items: Any) -> Iterator[tuple[bool, Any]]:
    """Each item, and whether it is the first."""
    return zip(chain((True,), iter(lambda: False, True)), items)
