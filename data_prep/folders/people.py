"""Whom each image is of, and in which part of a given split: who they are never leaves here."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from common.checks import InputError, require
from data_prep.machinery import Entry, Row, attempt, header_facts

__all__ = ["OVERLAPS", "People", "find_people"]

ALLOWED = ("age", "sex", "view", "modality")  # of a DICOM header
OVERLAPS = ("refuse", "keep", "drop")
PARTS = ("test", "validation", "training")  # a patient in two parts is kept in the first of them

Owned = dict[str, list[tuple[Row, Entry]]]


@dataclass
class People:
    """Who was found.

    Attributes:
        images: of each patient: the row, and what is known of the image.
        skipped: files that are left out, with the reason.
        notes: lines for the user.
        sure: patients named by the table, a folder or a DICOM header; the others are guessed.
        nameless: number of DICOM files that name nobody.
    """

    images: Owned = field(default_factory=lambda: defaultdict(list))
    skipped: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sure: set[str] = field(default_factory=set)
    nameless: int = 0
    counts: Counter[str] = field(default_factory=Counter)


def find_people(
    rows: list[Row], source: Path, overlap: str = "refuse", guess: bool = True
) -> People:
    """Group images by patient: the row's, DICOM's, by the file's name, or each its own.

    Args:
        rows: of the images.
        source: folder that their paths are relative to.
        overlap: what becomes of patients whom a given split has in two parts.
        guess: whether the start of a file's name may tell them.

    Raises:
        InputError: one of them is named, and `overlap` is "refuse".
    """
    people = People()
    for row in sorted(rows, key=lambda row: row.path.as_posix()):
        _add(people, row, source / row.path, guess)
    _part(people, overlap)
    if people.counts["file name"] or people.counts["image"]:
        people.notes.append(_guesses(people.counts))
    if people.nameless:
        people.notes.append(
            f"{people.nameless} DICOM files name no patient (none, Anonymous, 0 or the like): each "
            "counts as its own, or by its file name. Give --labels CSV with a column patient if "
            "you know"
        )
    return people


def _add(people: People, row: Row, path: Path, guess: bool) -> None:
    name = row.path.as_posix()
    try:
        facts = attempt(header_facts, path)
    except InputError as error:
        people.skipped.append({"file": name, "reason": str(error)})
        return
    if facts.get("burned_in"):
        reason = "the header says that annotation is burnt into the pixels (0028,0301)"
        people.skipped.append({"file": name, "reason": reason})
        return
    allowed = {key: facts[key] for key in ALLOWED if key in facts}
    known = row.patient or facts.get("patient")
    start = re.match(r"([^_]*\d)_", row.path.name) if guess else None
    patient = known or (start[1] if start else name)
    people.sure |= {patient} if known else set()
    people.nameless += "patient" in facts and not known
    kind = "table" if row.patient else "DICOM" if known else "file name" if start else "image"
    people.counts[kind] += 1
    people.images[patient].append((row, {**allowed, **row.entry}))


def _guesses(counts: Counter[str]) -> str:
    names, own = counts["file name"], counts["image"]
    known = counts.total() - names - own
    images_of = {
        "are known for": known,
        "are guessed from the start of the file's name (up to _) for": names,
        "are not known for": own,
    }
    words = ", ".join(f"{text} {count} images" for text, count in images_of.items() if count)
    return f"patients {words}" + (", each of which counts as its own" if own else "")


def _part(people: People, overlap: str) -> None:
    """Patients of whom the given split parts the images."""
    kept: Owned = {}
    crossing = guessed = dropped = 0
    for patient, rows in people.images.items():
        parts = [part for part in PARTS if any(row.part == part for row, _ in rows)]
        if len(parts) < 2:
            kept[patient] = rows
            continue
        require(
            patient not in people.sure or overlap != "refuse",
            f"{rows[0][0].part} and {rows[-1][0].part}: the split must keep a patient in one part, "
            "got one, by the DICOM Patient ID, in both. Add a column patient or correct the split.",
        )
        crossing, guessed = crossing + 1, guessed + (patient not in people.sure)
        if overlap == "drop":
            kept[patient] = [(row, entry) for row, entry in rows if row.part == parts[0]]
            dropped += len(rows) - len(kept[patient])
            continue
        for part in sorted(parts):
            kept[f"{patient} in {part}"] = [(row, e) for row, e in rows if row.part == part]
    people.images = kept
    if overlap == "drop" and crossing:
        people.notes.append(
            f"{dropped} images of {crossing} patients are left out: the given split has the same "
            "patients in a part that comes after training"
        )
    elif crossing:
        people.notes.append(_kept(crossing, guessed, people, overlap))


def _kept(crossing: int, guessed: int, people: People, overlap: str) -> str:
    if overlap == "keep":
        return (
            f"the given split is kept: {crossing} patients, by their names or numbers, have images "
            "in two of its parts and count once in each. If they are the same people, the test is "
            "no test: set --overlap drop"
        )
    return (
        f"the given split is kept: {guessed} patients, guessed from file names, have images in two "
        "of its parts. Add a column patient if you know them"
    )
