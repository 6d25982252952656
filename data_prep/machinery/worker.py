"""One item: converted, or left out with its reason; either way a journal has its record."""

import errno
import os
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import whole
from data_prep.machinery.faults import MachineFault
from data_prep.machinery.files import CRASHED, Output, why
from data_prep.machinery.journal import PROGRESS, Journal
from data_prep.machinery.names import hide
from data_prep.machinery.plan import Item, Origin
from data_prep.machinery.split import Entry

__all__ = ["Job", "convert", "crashed", "note_path"]


@dataclass(frozen=True, slots=True)
class Job:
    """An item to convert.

    Args:
        item: the item.
        numbers: of its origins, by name.
        token: changes with the inputs; its record is of use only while they are the same.
    """

    item: Item
    numbers: dict[str, int]
    token: str


def note_path(target: Path, item: Item) -> Path:
    """Where the number of the origin that is being read lies, while an item is done alone."""
    return target / PROGRESS / f"{item.key}.reading"


def convert(
    function: Callable[[Any, Output], list[Entry]],
    job: Job,
    target: Path,
    journal: Journal,
    alone: bool,
    avoid: Collection[int] = (),
) -> bool:
    """Convert one item and write its record: entries and digests, or why it was left out.

    Args:
        function: the plan's `convert`.
        job: the item.
        target: the folder.
        journal: for the record.
        alone: nothing else is converted meanwhile.
        avoid: numbers of origins whose decoder ended a process.

    Returns:
        False where there was not enough memory beside other items: try it alone.

    Raises:
        MachineFault: the target could not be written, or the machine failed; nothing is left.
    """
    item = job.item
    output = _output(job, target, alone, avoid)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they may quote names and header values
            entries = function(item.payload, output)
        record = _record(job, entries, output)
        _require_there(job, [line["file"] for line in output.skipped])
    except (KeyboardInterrupt, SystemExit, MachineFault):
        _undo(output)
        raise
    except BaseException as error:
        _undo(output)
        _require_there(job, [origin.name for origin in item.origins])
        try:
            reason = why(error, alone)
        except MemoryError:
            return False
        record = _skipped(job, reason)
    journal.add(record)
    return True


def _output(job: Job, target: Path, alone: bool, avoid: Collection[int]) -> Output:
    """Where the item's files go; alone, the number of each of several origins is noted first."""

    def note(name: str) -> None:
        with whole(note_path(target, job.item)) as partial:
            partial.write_text(str(job.numbers[name]))

    names = [name for name, number in job.numbers.items() if number in avoid]
    return Output(target, alone, names, note if alone and len(job.item.origins) > 1 else None)


def crashed(job: Job, journal: Journal) -> None:
    """Write the record of an item whose decoder ended the process."""
    journal.add(_skipped(job, CRASHED))


def _skipped(job: Job, reason: str) -> dict[str, Any]:
    return {"key": job.item.key, "token": job.token, "skipped": _left_out(job, None, reason)}


def _record(job: Job, entries: list[Entry], output: Output) -> dict[str, Any]:
    only = job.item.origins[0].name if len(job.item.origins) == 1 else None
    names = [entry.get("origin", only) for entry in entries]
    return {
        "key": job.item.key,
        "token": job.token,
        "entries": [{k: v for k, v in entry.items() if k != "origin"} for entry in entries],
        "origins": [None if name is None else job.numbers[name] for name in names],
        "sha256": output.digests,
        "left_out": [_left_out(job, line["file"], line["reason"]) for line in output.skipped],
    }


def _left_out(job: Job, name: str | None, reason: str) -> dict[str, str]:
    """What the manifest says of an origin, by default the item's only one, or of a whole item."""
    origins = job.item.origins
    chosen = [origin for origin in origins if name is None or origin.name == name]
    if len(chosen) == 1:
        return hide(chosen[0], job.numbers[chosen[0].name], reason)
    paths = tuple(path for origin in origins for path in origin.paths)
    line = hide(Origin(job.item.key, paths), 0, reason)
    return {key: text.replace("file 0", job.item.key) for key, text in line.items()}


def _require_there(job: Job, left_out: list[str]) -> None:
    """No origin is left out because its file went away: a disk was taken off, or the file."""
    for origin in job.item.origins:
        if origin.name in left_out and not all(map(os.path.lexists, origin.paths)):
            raise MachineFault(errno.ESTALE, "a file of the source is gone")


def _undo(output: Output) -> None:
    for relative in output.digests:
        (output.target / relative).unlink(missing_ok=True)
