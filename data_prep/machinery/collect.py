"""From the records of a run to what is left to do, and in the end to its manifest."""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import __version__
from common.checks import InputError
from common.files import is_relative, leads_below
from data_prep.machinery.names import Names
from data_prep.machinery.plan import Plan
from data_prep.machinery.split import Entry
from data_prep.machinery.worker import PROGRESS, Job, record_path

__all__ = ["collect", "damaged", "read_json", "remove", "remove_torn", "unfinished"]

LIBRARIES = ("numpy", "scipy", "pillow", "nibabel", "pydicom", "SimpleITK", "isal")
THREADS = 8  # threads that compute digests


def unfinished(plan: Plan, jobs: list[Job], target: Path) -> list[Job]:
    """Jobs without a record, or whose inputs have changed, or whose files are not what they were.

    The records of those are removed, as are records and files of items that the plan no more has.
    """
    records = {job.item.key: _record(target, job) for job in jobs}
    digests = {k: v for r in records.values() for k, v in r.get("sha256", {}).items()}
    bad = set(damaged(target, digests))
    pending = [
        job
        for job in jobs
        if records[job.item.key].get("token") != job.token
        or bad.intersection(records[job.item.key].get("sha256", {}))
    ]
    known = {"run", *(item.key for item in plan.items)}
    for path in (target / PROGRESS).glob("*.json"):
        if path.stem not in known:
            remove(target, set(read_json(path).get("sha256", {})) - set(digests))
            path.unlink()
    for job in pending:
        record_path(target, job.item).unlink(missing_ok=True)
    return pending


def remove(target: Path, files: Iterable[str]) -> None:
    """Remove files of an earlier run, which a record names; none outside `target`."""
    for relative in files:
        path = target / relative
        if is_relative(relative) and leads_below(path, target):
            path.unlink(missing_ok=True)


def remove_torn(target: Path) -> None:
    """Remove what a killed process was writing."""
    for path in target.rglob(".*"):
        if path.name.endswith(".partial"):
            path.unlink(missing_ok=True)


def damaged(target: Path, digests: dict[str, str]) -> list[str]:
    """Files, of those with a SHA-256, that are missing or hold other bytes than they did."""

    def matches(relative: str) -> bool:
        try:
            with (target / relative).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == digests[relative]
        except FileNotFoundError:
            return False

    with ThreadPoolExecutor(THREADS) as pool:
        return [relative for relative, good in zip(digests, pool.map(matches, digests)) if not good]


def collect(plan: Plan, target: Path, identity: dict[str, Any], names: Names) -> dict[str, Any]:
    """Put the records together, in the order of the items.

    Args:
        plan: the finished work.
        target: its folder.
        identity: source, arguments and names of the inputs, as the run recorded them.
        names: numbers of what was read.

    Returns:
        The manifest, not yet written.

    Raises:
        InputError: not one item could be used.
    """
    records = [read_json(record_path(target, item)) for item in plan.items]
    skipped = _skipped(plan, names, records)
    entries = [entry for record in records for entry in record.get("entries", [])]
    digests = {k: v for record in records for k, v in record.get("sha256", {}).items()}
    if not entries:
        first = skipped[0]["reason"] if skipped else "no image in the inputs"
        raise InputError(
            f"{plan.source}: at least one file must be usable, got none of {len(plan.items)} "
            f"({first}). Add --key FILE to learn which file is which."
        )
    entries = _merged(entries, digests) if plan.merge_copies else entries
    parts = plan.split([{k: v for k, v in e.items() if k != "copy"} for e in entries])
    origins = _origins(records)
    return {
        **parts,
        **identity,
        **plan.extra,
        **(plan.summarise(parts) if plan.summarise else {}),
        **({"origins": origins} if origins else {}),
        "licence": plan.licence,
        "versions": {"data_prep": __version__, **{name: version(name) for name in LIBRARIES}},
        "counts": {part: _counts(parts[part]) for part in parts},
        "sha256": digests,
        "skipped": skipped,
    }


def _skipped(plan: Plan, names: Names, records: list[dict[str, Any]]) -> list[dict[str, str]]:
    """What planning left out, then what the items did."""
    left_out = [names.skipped(line["file"], line["reason"]) for line in plan.skipped]
    for record in records:
        left_out += [record["skipped"]] if "skipped" in record else record["left_out"]
    return left_out


def read_json(path: Path) -> dict[str, Any]:
    """Read what an earlier step wrote; a record that is missing or damaged is empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _record(target: Path, job: Job) -> dict[str, Any]:
    record = read_json(record_path(target, job.item))
    whole = "skipped" in record or {"entries", "origins", "sha256", "left_out"} <= set(record)
    return record if whole else {}


def _origins(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Number of the origin of each file; of a stack, of each row."""
    files: dict[str, Any] = {}
    for record in records:
        for entry, number in zip(record.get("entries", []), record.get("origins", [])):
            if number is None:
                continue
            for value in (entry.get("image"), entry.get("mask")):
                for path in [value] if isinstance(value, str) else value or []:
                    if "index" in entry:
                        files.setdefault(path, []).append(number)
                    else:
                        files[path] = number
    return {
        path: origin[0] if isinstance(origin, list) and len(set(origin)) == 1 else origin
        for path, origin in files.items()
    }


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
        same_pixels = entry.get("copy") or digests[entry["image"]]
        other = first(patient_with.setdefault(same_pixels, patient))
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
