"""What a source wants done: items, how to convert one, how to split the result."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data_prep.machinery.files import Output
from data_prep.machinery.split import Entry

__all__ = ["Item", "Origin", "Plan"]


@dataclass(frozen=True, slots=True)
class Origin:
    """What becomes one image or subject: a file, a few files, a row of a table, or a member.

    Args:
        name: what the source calls it; written into a key file and nowhere else.
        paths: the files it is read from; of very many as text, which is smaller than a `Path`.
        facts: what else decides the output.
        patient: what the source calls whom it is of; written into a key file and nowhere else.
    """

    name: str
    paths: tuple[str | Path, ...] = ()
    facts: str = ""
    patient: str = ""

    def stamp(self) -> str:
        """Changes with the input; the same for a copy of it elsewhere."""
        sizes = [stat.st_size if stat else None for stat in map(_stat, self.paths)]
        return f"{sizes} {self.facts} {self.patient}"

    def state(self) -> str:
        """Changes with the files, also where they keep their size, and with who may read them."""
        stats = [(path, _stat(path)) for path in self.paths]
        return " ".join(
            f"{stat.st_size}:{stat.st_mtime_ns}:{'r' if os.access(path, os.R_OK) else '-'}"
            for path, stat in stats
            if stat
        )

    def newest(self) -> int:
        """When one of the files was last written, in nanoseconds of the epoch."""
        return max((stat.st_mtime_ns for stat in map(_stat, self.paths) if stat), default=0)


@dataclass(frozen=True, slots=True)
class Item:
    """One unit of work: a patient, a file or a stack.

    Args:
        key: unique, names the record; must not identify a patient.
        payload: given to the plan's `convert`; picklable.
        origins: what it is made of. With several, each entry names its own as ``origin``.
    """

    key: str
    payload: Any
    origins: tuple[Origin, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What a source wants done.

    Args:
        source: one sentence, recorded.
        licence: of the data, recorded.
        arguments: those that decide the output (not folders, not workers), recorded.
        items: the work, in the order of the manifest.
        convert: ``(payload, output) -> entries``; a module-level function, so picklable; raises
            `InputError` for an input that cannot be used.
        split: entries to parts.
        skipped: what was found unusable: ``{"file": its name in the source, "reason"}``.
        extra: further keys of the manifest.
        merge_copies: count patients who share an exact image, or the same "copy" of their entries
            (which is then dropped), as one; each entry has one image.
        notes: lines for the user, printed before the work: which class is 0, what is left out.
        summarise: parts to further keys of the manifest, for what is known once all is done.
        finish: called with the manifest and the target's folder once all is done, to write what is
            made of the whole, such as a page; again at every run that finds its work done.
        root: folder of the source.
        units: what the summary calls those whose images stay in one part; "" for images alone.
    """

    source: str
    licence: str
    arguments: dict[str, Any]
    items: list[Item]
    convert: Callable[[Any, Output], list[Entry]]
    split: Callable[[list[Entry]], dict[str, list[Entry]]]
    skipped: list[dict[str, str]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    merge_copies: bool = False
    notes: list[str] = field(default_factory=list)
    summarise: Callable[[dict[str, list[Entry]]], dict[str, Any]] | None = None
    finish: Callable[[dict[str, Any], Path], None] | None = None
    root: Path | None = None
    units: str = "patients"


def _stat(path: str | Path) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # a table may name what no file can be called
        return None
