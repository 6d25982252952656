"""From the records of a run to what is left to do, and in the end to its manifest."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from common import __version__
from common.checks import InputError
from common.files import is_relative, leads_below
from data_prep.machinery.journal import PROGRESS, Records, keep, read_journals
from data_prep.machinery.names import Names
from data_prep.machinery.plan import Item, Plan
from data_prep.machinery.split import Entry

__all__ = ["collect", "damaged", "read_json", "remove", "remove_torn", "unfinished"]

LIBRARIES = ("numpy", "scipy", "pillow", "nibabel", "pydicom", "SimpleITK", "isal")
THREADS = 8  # threads that compute digests
SOME = 4096  # records that are looked at together


def unfinished(
    plan: Plan, items: Sequence[Item], target: Path, token_of: Callable[[Item], str]
) -> list[Item]:
    """Items without a record, or whose inputs have changed, or whose files are not what they were.

    The records of those are removed, as are records and files of items that the plan no more has.

    Args:
        plan: the work.
        items: those of the plan that are to be done.
        target: the folder.
        token_of: of an item as its inputs are now, as its record has it.
    """
    wanted = {item.key: item for item in items}
    known, gone = {item.key for item in plan.items}, _of_earlier_versions(target)

    def good() -> Iterator[list[dict[str, Any]]]:
        records = (record for _, _, record in read_journals(target))
        while some := list(islice(records, SOME)):
            gone.update(f for r in some if r["key"] not in known for f in r.get("sha256", {}))
            mine = [r for r in some if r["key"] in wanted]
            fresh = [r for r in mine if r["token"] == token_of(wanted[r["key"]])]
            bad = set(damaged(target, {k: v for r in fresh for k, v in _sums(r).items()}))
            yield [record for record in fresh if not bad.intersection(_sums(record))]

    done = keep(target, good())
    if gone:
        for _, _, record in read_journals(target):
            gone.difference_update(_sums(record))
        remove(target, gone)
    return [item for item in items if item.key not in done]


def _of_earlier_versions(target: Path) -> set[str]:
    """Remove records that earlier versions of this program left; return the files they name."""
    files: set[str] = set()
    for path in (target / PROGRESS).glob("*.json"):
        if path.stem != "run":
            files.update(_sums(read_json(path)))
            path.unlink()
    return files


def _sums(record: dict[str, Any]) -> dict[str, str]:
    digests: dict[str, str] = record.get("sha256", {})
    return digests


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
    entries, digests, origins, skipped = _gathered(plan, target, names)
    if not entries:
        first = skipped[0]["reason"] if skipped else "no image in the inputs"
        raise InputError(
            f"{plan.source}: at least one file must be usable, got none of {len(plan.items)} "
            f"({first}). Add --key FILE to learn which file is which."
        )
    if plan.merge_copies:
        _merge(entries, digests)
    for entry in entries:
        entry.pop("copy", None)
    parts = plan.split(entries)
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


def _gathered(
    plan: Plan, target: Path, names: Names
) -> tuple[list[Entry], dict[str, str], dict[str, Any], list[dict[str, str]]]:
    """Entries, digests, origins, and what planning and then the items left out."""
    skipped = [names.skipped(line["file"], line["reason"]) for line in plan.skipped]
    entries: list[Entry] = []
    digests: dict[str, str] = {}
    origins: dict[str, Any] = {}
    records = Records(target)
    for item in plan.items:
        record = _shared(records[item.key])
        entries += record.get("entries", [])
        digests |= _sums(record)
        _add_origins(origins, record)
        skipped += [record["skipped"]] if "skipped" in record else record.get("left_out", [])
    records.close()
    alone = {path: n for path, n in origins.items() if isinstance(n, list) and len(set(n)) == 1}
    origins |= {path: numbers[0] for path, numbers in alone.items()}
    return entries, digests, origins, skipped


def _shared(record: dict[str, Any]) -> dict[str, Any]:
    """A record whose entries have names of columns and of files that are held once."""
    names = {name: name for name in _sums(record)}

    def value_of(value: Any) -> Any:
        return names.get(value, value) if isinstance(value, str) else value

    entries = [
        {sys.intern(key): value_of(value) for key, value in entry.items()}
        for entry in record.get("entries", [])
    ]
    return {**record, "entries": entries}


def read_json(path: Path) -> dict[str, Any]:
    """Read what an earlier step wrote; a record that is missing or damaged is empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _add_origins(origins: dict[str, Any], record: dict[str, Any]) -> None:
    """Add the number of the origin of each file; of a stack, of each row."""
    for entry, number in zip(record.get("entries", []), record.get("origins", [])):
        if number is None:
            continue
        for value in (entry.get("image"), entry.get("mask")):
            for path in [value] if isinstance(value, str) else value or []:
                if "index" in entry:
                    origins.setdefault(path, []).append(number)
                else:
                    origins[path] = number


def _merge(entries: list[Entry], digests: dict[str, str]) -> None:
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
    for entry in entries:
        entry["patient"] = first(entry["patient"])


def _counts(entries: list[Entry]) -> dict[str, Any]:
    labels = sorted({int(entry["label"]) for entry in entries})
    return {
        "images": len(entries),
        "patients": len({entry["patient"] for entry in entries}),
        "labels": {str(k): sum(entry["label"] == k for entry in entries) for k in labels},
    }
