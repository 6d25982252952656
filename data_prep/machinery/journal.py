"""Records of what is done while a run goes on: a line each, in a journal of each process.

::

    TARGET/.progress/<some name>.jsonl    {"key": ..., "token": ..., "entries": [...], ...}

A process appends a line when an item is finished; the last line of one that was killed may be torn
and does not count. So a million items leave as many files as there were processes.
"""

import errno
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from common.files import whole
from data_prep.machinery.faults import MachineFault

__all__ = ["PROGRESS", "Journal", "Records", "keep", "read_journals", "recorded"]

PROGRESS = ".progress"
ENDING = ".jsonl"
Record = dict[str, Any]


class Journal:
    """Where one process writes down what it has finished; the file is made at the first record.

    Args:
        target: folder of the run.
    """

    def __init__(self, target: Path) -> None:
        self.path = target / PROGRESS / f"{uuid4().hex}{ENDING}"
        self._file: int | None = None

    def add(self, record: Record) -> None:
        """Append a record, whole or not at all.

        Raises:
            MachineFault: it could not be written.
        """
        line = json.dumps(record, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        try:
            if self._file is None:
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            end = os.fstat(self._file).st_size
            try:
                if os.write(self._file, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._file, end)
                raise
        except OSError as error:
            raise MachineFault.of(error) from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_journals(target: Path) -> Iterator[tuple[Path, int, Record]]:
    """Read the records of a run: the journal, the place of the line in it, and the record."""
    for path in sorted((target / PROGRESS).glob(f"*{ENDING}")):
        with path.open("rb") as file:
            place = 0
            for line in file:
                if (record := _record(line)) is not None:
                    yield path, place, record
                place += len(line)


def recorded(target: Path) -> set[tuple[str, str]]:
    """Return key and token of every record."""
    return {(record["key"], record["token"]) for _, _, record in read_journals(target)}


def keep(target: Path, good: Iterable[list[Record]]) -> set[str]:
    """Put the records that count into one journal and remove the others; return their keys.

    Args:
        target: folder of the run, which nothing else writes to.
        good: some records at a time; of those of one key the first counts.
    """
    folder, kept = target / PROGRESS, set[str]()
    with whole(folder / f"done{ENDING}") as partial, partial.open("wb") as file:
        for records in good:
            for record in (record for record in records if record["key"] not in kept):
                kept.add(record["key"])
                text = json.dumps(record, sort_keys=True, ensure_ascii=False)
                file.write(text.encode() + b"\n")
    for path in folder.glob(f"*{ENDING}"):
        if path.name != f"done{ENDING}":
            path.unlink()
    return kept


class Records:
    """The records of a finished run by key, each read when it is asked for."""

    def __init__(self, target: Path) -> None:
        self._places = {record["key"]: (p, place) for p, place, record in read_journals(target)}
        self._files: dict[Path, Any] = {}

    def __getitem__(self, key: str) -> Record:
        """Return a record, empty where there is none."""
        if key not in self._places:
            return {}
        path, place = self._places[key]
        if path not in self._files:
            self._files[path] = path.open("rb")
        self._files[path].seek(place)
        return _record(self._files[path].readline()) or {}

    def close(self) -> None:
        """Close the journals."""
        for file in self._files.values():
            file.close()


def _record(line: bytes) -> Record | None:
    """A line that is whole, as a record."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    needed = {"key", "token"}
    finished = {"entries", "origins", "sha256", "left_out"}
    if not isinstance(record, dict) or not needed <= set(record):
        return None
    return record if "skipped" in record or finished <= set(record) else None
