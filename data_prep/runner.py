"""Runs any preparation: in parallel, resumable, never half-written, the same bytes every time.

A source describes its work as a `Plan`: a list of items (patients or files), a function that turns
one item into files and manifest entries, and a function that splits the entries. While it runs,
each finished item has a small record in ``TARGET/.progress``; a run that was interrupted picks up
there. The manifest is written last and the records are then removed.
"""

import errno
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tqdm import tqdm

from common import __version__
from common.checks import InputError, require
from common.data import read_manifest, write_manifest
from data_prep.files import Output, write_atomically
from data_prep.split import Entry

__all__ = ["Item", "Plan", "run"]

PROGRESS = ".progress"
LIBRARIES = ("numpy", "scipy", "pillow", "nibabel", "pydicom", "SimpleITK", "isal")
FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Item:
    """One unit of work: a patient or a file.

    Args:
        key: unique, names the record; must not identify a patient.
        name: what the list of skipped files calls it.
        payload: given to the plan's `convert`; picklable.
        stamp: changes when the input changes, e.g. its size.
    """

    key: str
    name: str
    payload: Any
    stamp: str = ""


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
        skipped: files already found unusable.
        extra: further keys of the manifest.
        merge_copies: count patients who share an exact image as one; each entry has one image.
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


def run(plan: Plan, target: Path, workers: int | None = None) -> dict[str, Any]:
    """Do what `plan` says, or what is left of it, and write the manifest.

    Args:
        plan: the work.
        target: output folder: new, empty, or holding an earlier run of the same plan.
        workers: processes; all cores if None. The output does not depend on it.

    Returns:
        The manifest.

    Raises:
        InputError: `target` holds something else, the disk is full, or no item could be used.
    """
    identity = _identity(plan)
    try:
        if _finished(target, identity):
            return read_manifest(target)
        (target / PROGRESS).mkdir(parents=True, exist_ok=True)
        write_atomically(target / PROGRESS / "run.json", _json(identity))
        _convert_all(plan, target, workers or len(os.sched_getaffinity(0)))
        manifest = _manifest(plan, target, identity)
        write_manifest(target, manifest)
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise InputError(
            f"{target}: the disk must have room for the output, got a full disk. "
            "Free some space and run the same command again; it goes on where it stopped."
        ) from None
    shutil.rmtree(target / PROGRESS)
    return manifest


def _identity(plan: Plan) -> dict[str, Any]:
    """What must be equal for a run to be the same: source, arguments and inputs."""
    inputs = [[item.key, item.name, item.stamp] for item in plan.items]
    return {
        "source": plan.source,
        "arguments": plan.arguments,
        "inputs": hashlib.sha256(_json(inputs)).hexdigest(),
    }


def _finished(target: Path, identity: dict[str, Any]) -> bool:
    """Whether `target` holds this run's manifest; raises if it holds anything else."""
    for path in (target / "manifest.json", target / PROGRESS / "run.json"):
        if not path.is_file():
            continue
        earlier = json.loads(path.read_text(encoding="utf-8"))
        changed = [key for key, value in identity.items() if earlier.get(key) != value]
        require(
            not changed,
            f"{target}: target must be empty or hold the same run, got one with other "
            f"{' and '.join(changed)}. Choose another --target or delete this one.",
        )
        return path.name == "manifest.json"
    require(
        not target.is_dir() or not any(target.iterdir()),
        f"{target}: target must be an empty folder, got other files. Choose another --target.",
    )
    return False


def _convert_all(plan: Plan, target: Path, workers: int) -> None:
    """Convert the items that have no record yet."""
    pending = [item for item in plan.items if not _record_path(target, item).is_file()]
    bar = tqdm(total=len(plan.items), initial=len(plan.items) - len(pending), disable=None)
    with bar:
        if workers == 1 or len(pending) < 2:
            for item in pending:
                _convert_one(plan.convert, item, target)
                bar.update()
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(pending)), mp_context=context) as pool:
            with _interrupts_ignored():  # inherited by the workers: Ctrl-C is ours to handle
                futures = [
                    pool.submit(_convert_one, plan.convert, item, target) for item in pending
                ]
            _collect(pool, futures, bar)


def _collect(pool: ProcessPoolExecutor, futures: list[Future[None]], bar: Any) -> None:
    """Wait for all; on the first failure or Ctrl-C, let the running ones end and drop the rest."""
    try:
        for future in as_completed(futures):
            future.result()
            bar.update()
    except BrokenProcessPool:
        raise InputError(
            "data_prep: every worker must live, got one that was killed (out of memory?). "
            "Run the same command again with fewer --workers; it goes on where it stopped."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: Ctrl-C does not come here
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _convert_one(convert: Callable[[Any, Output], list[Entry]], item: Item, target: Path) -> None:
    """Convert one item and leave its record: entries and digests, or why it was skipped."""
    output = Output(target)
    record: dict[str, Any]
    try:
        entries = convert(item.payload, output)
        record = {"entries": entries, "sha256": output.digests}
    except InputError as error:
        record = {"skipped": {"file": item.name, "reason": str(error)}}
    except OSError as error:
        if error.errno in FULL:
            raise
        record = {"skipped": _skip(item, f"unreadable ({error.strerror})")}
    except Exception as error:  # its text may quote a header, so only its kind is kept
        record = {"skipped": _skip(item, f"unreadable ({type(error).__name__})")}
    if "skipped" in record:
        for relative in output.digests:
            (target / relative).unlink(missing_ok=True)
    write_atomically(_record_path(target, item), _json(record))


def _skip(item: Item, reason: str) -> dict[str, str]:
    return {"file": item.name, "reason": f"{item.name}: {reason}"}


def _record_path(target: Path, item: Item) -> Path:
    return target / PROGRESS / f"{item.key}.json"


def _manifest(plan: Plan, target: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Put the records together, in the order of the items."""
    entries, digests, skipped = _records(plan, target)
    if not entries:
        first = skipped[0]["reason"] if skipped else "no image in the inputs"
        raise InputError(
            f"{plan.source}: at least one file must be usable, got none of {len(plan.items)} "
            f"({first})"
        )
    parts = plan.split(_merged(entries, digests) if plan.merge_copies else entries)
    return {
        **parts,
        **identity,
        **plan.extra,
        "licence": plan.licence,
        "versions": {"data_prep": __version__, **{name: version(name) for name in LIBRARIES}},
        "counts": {part: _counts(parts[part]) for part in parts},
        "sha256": digests,
        "skipped": skipped,
    }


def _records(plan: Plan, target: Path) -> tuple[list[Entry], dict[str, str], list[dict[str, str]]]:
    """Entries, digests and skipped items, in the order of the items."""
    entries: list[Entry] = []
    digests: dict[str, str] = {}
    skipped = list(plan.skipped)
    for item in plan.items:
        record = json.loads(_record_path(target, item).read_text(encoding="utf-8"))
        if "skipped" in record:
            skipped.append(record["skipped"])
        else:
            entries += record["entries"]
            digests |= record["sha256"]
    return entries, digests, skipped


def _merged(entries: list[Entry], digests: dict[str, str]) -> list[Entry]:
    """Make patients who share an exact image one patient, so that no copy leaks across a split."""
    same: dict[str, str] = {}

    def first(patient: str) -> str:
        while patient in same:
            patient = same[patient]
        return patient

    patient_with: dict[str, str] = {}
    for entry in entries:
        patient = first(entry["patient"])
        other = first(patient_with.setdefault(digests[entry["image"]], patient))
        if other != patient:
            same[max(patient, other)] = min(patient, other)
    return [{**entry, "patient": first(entry["patient"])} for entry in entries]


def _counts(entries: list[Entry]) -> dict[str, Any]:
    labels = sorted({int(entry["label"]) for entry in entries})
    return {
        "images": len(entries),
        "patients": len({entry["patient"] for entry in entries}),
        "labels": {str(k): sum(entry["label"] == k for entry in entries) for k in labels},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode()
