"""From the records of a finished run to its manifest."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common import __version__
from common.checks import InputError
from data_prep.plan import Item, Plan
from data_prep.split import Entry

__all__ = ["PROGRESS", "collect", "record_path"]

PROGRESS = ".progress"
LIBRARIES = ("numpy", "scipy", "pillow", "nibabel", "pydicom", "SimpleITK", "isal")


def record_path(target: Path, item: Item) -> Path:
    """Where the record of a finished item lies while the run goes on."""
    return target / PROGRESS / f"{item.key}.json"


def collect(plan: Plan, target: Path, identity: dict[str, Any]) -> dict[str, Any]:
    """Put the records together, in the order of the items.

    Args:
        plan: the finished work.
        target: its folder.
        identity: source, arguments and inputs, as the run recorded them.

    Returns:
        The manifest, not yet written.

    Raises:
        InputError: not one item could be used.
    """
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
        **(plan.summarise(parts) if plan.summarise else {}),
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
        record = json.loads(record_path(target, item).read_text(encoding="utf-8"))
        if "skipped" in record:
            skipped.append(record["skipped"])
        else:
            entries += record["entries"]
            digests |= record["sha256"]
            skipped += record.get("left_out", [])
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
