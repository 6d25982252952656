"""What grows in a folder of predictions while they are made, so that a crash keeps what was done.

Rows, reasons and embeddings are appended; after each chunk of whole files ``.progress`` gets a line
that says which they were, and how long the others are now. `go_on` cuts off what came after it.
"""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from common.deploy.prediction import Prediction
from common.files import replacing
from common.text import cell

__all__ = ["PROGRESS", "RAW", "SKIPPED", "Journal", "go_on", "key_of", "read_steps"]

PROGRESS = ".progress"
RAW = ".embeddings"
SKIPPED = "skipped.csv"
NONE = {"images": 0, "warned": 0, "skipped": 0, "unwritten": 0}

Step = Mapping[str, Any]  # "done": keys of files, "sizes": by name of the file, "counts"


class Journal:
    """The files that grow, open.

    Args:
        folder: where they are.
        rows: name of the table of rows.
        values: whether a row holds what was predicted, or the names of file and slice alone.
        embeddings: whether there are embeddings.
        counts: `NONE`, counted on here.
    """

    def __init__(
        self, folder: Path, rows: str, values: bool, embeddings: bool, counts: dict[str, int]
    ) -> None:
        self.folder = folder
        self.values, self.embeddings = values, embeddings
        self.counts = counts
        self.names = [rows, SKIPPED, *([RAW] if embeddings else [])]
        self._stack = ExitStack()
        self._header: list[str] = []

    def __enter__(self) -> "Journal":
        self._tables = [
            self._stack.enter_context((self.folder / name).open("a", newline="", encoding="utf-8"))
            for name in self.names[:2]
        ]
        self._rows, self._skipped = map(csv.writer, self._tables)
        if self.embeddings:
            self._h = self._stack.enter_context((self.folder / RAW).open("ab"))
        progress = (self.folder / PROGRESS).open("a", encoding="utf-8")
        self._progress = self._stack.enter_context(progress)
        if self._tables[0].tell():
            with (self.folder / self.names[0]).open(newline="", encoding="utf-8") as file:
                self._header = next(csv.reader(file))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, one: Prediction) -> None:
        """Write an image."""
        row = one.row() if self.values else {"file": one.file, "slice": one.slice}
        if not self._header:
            self._header = list(row)
            self._rows.writerow(map(cell, self._header))
        self._rows.writerow([_text(name, row.get(name, "")) for name in self._header])
        if self.embeddings and one.h is not None:
            self._h.write(np.ascontiguousarray(one.h, np.float32).tobytes())
        self.counts["images"] += 1
        self.counts["warned"] += bool(one.columns.get("warning"))

    def skip(self, name: str, reason: str, count: str = "skipped") -> None:
        """List a file that has no image, or ("unwritten") of which something was not written."""
        if not self._tables[1].tell():
            self._skipped.writerow(["file", "reason"])
        self._skipped.writerow([cell(name), cell(reason)])
        self.counts[count] += 1

    def end(self, keys: Sequence[str]) -> None:
        """Make sure of all that these files gave."""
        opened: list[Any] = [*self._tables, *([self._h] if self.embeddings else [])]
        for file in opened:
            file.flush()
        sizes = {name: (self.folder / name).stat().st_size for name in self.names}
        self._progress.write(_line({"done": list(keys), "sizes": sizes, "counts": self.counts}))
        self._progress.flush()


def key_of(entry: Mapping[str, Any]) -> str:
    """What a file is known by in `PROGRESS`, from which its name cannot be read."""
    image = entry["image"] if isinstance(entry["image"], str | list) else ""
    text = json.dumps([entry["name"], image, entry.get("index"), entry.get("slice")])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def read_steps(folder: Path) -> list[Step]:
    """Return the whole lines of `PROGRESS`, in order; none where nothing was interrupted.

    Those at the end of which a file is shorter than it was, as a machine that went down may leave
    it, are left out.
    """
    steps: list[Step] = []
    path = folder / PROGRESS
    if path.is_file():
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    steps.append(json.loads(line))
                except ValueError:  # half a line
                    break
    while steps and not _is_there(folder, steps[-1]):
        steps.pop()
    return steps


def _is_there(folder: Path, step: Step) -> bool:
    """Whether files are as long as a step left them, or longer."""
    paths = {folder / name: size for name, size in step["sizes"].items()}
    return all(path.is_file() and path.stat().st_size >= paths[path] for path in paths)


def go_on(folder: Path, steps: Sequence[Step]) -> None:
    """Cut off what was written after the last step."""
    for name, size in steps[-1]["sizes"].items():
        with (folder / name).open("ab") as file:
            file.truncate(size)
    with replacing(folder / PROGRESS) as partial:
        partial.write_text("".join(map(_line, steps)), encoding="utf-8")


def _line(step: Step) -> str:
    return json.dumps(step) + "\n"


def _text(name: str, value: Any) -> str:
    """A cell of the table."""
    if name == "slice":
        return "" if value < 0 else str(value)
    if isinstance(value, float):
        digits = 6 if name.startswith("probability") else 2
        return f"{value:.{digits}f}" if np.isfinite(value) else ""
    return cell(str(value))
