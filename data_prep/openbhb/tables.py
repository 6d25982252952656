"""The tables of OpenBHB: who is in which split, with age, sex, site and diagnosis."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from common.checks import InputError, require
from data_prep.machinery import (
    Line,
    age_note,
    canonical,
    is_unlabelled,
    number,
    read_age,
    read_diagnosis,
    read_sex,
    read_table,
    says_nothing,
    walk,
)

__all__ = ["ROW", "Subject", "read_subjects"]

ROW = 3_659_572  # values of one subject in the challenge's files
SITES = ("sitexacq", "site")  # the acquisition site, which the challenge predicts, comes first
EXTENSIONS = (".npy", ".nii.gz", ".nii")
Skipped = list[dict[str, str]]


@dataclass(frozen=True)
class Subject:
    """One row of a table and where its image is.

    Args:
        patient: ``participant_id`` without "sub-", or the place in the table where it has none.
        split: "train", "internal" or "external".
        age: years, at most 90; None if missing.
        sex: 0 female, 1 male, or a number as the table has it; None if missing.
        coded: the sex is a number of the table, which does not say what it stands for.
        site: its name, None if missing.
        diagnosis: "control" or another name, None if missing.
        path: of the image or of the rows.
        row: in the rows of the challenge; None for a file of its own.
        name: what the source calls it: its file, or file and row.
    """

    patient: str
    split: str
    age: float | None
    sex: int | None
    coded: bool
    site: str | None
    diagnosis: str | None
    path: Path
    row: int | None = None
    name: str = ""


def read_subjects(source: Path, suffix: str) -> tuple[list[Subject], Skipped, list[str]]:
    """Subjects of either layout, in the order of the tables, those without a file, and notes.

    Args:
        source: folder with ``train.npy`` or ``participants.tsv``.
        suffix: of the files of layout (b), after ``sub-<id>_``.

    Raises:
        InputError: neither layout, a table that does not fit, or a subject in two splits.
    """
    folder = next((f for f in (source, source / "data") if (f / "train.npy").is_file()), None)
    skipped: Skipped = []
    unknown: list[str] = []
    if folder is not None:
        subjects = _challenge(folder, unknown)
    elif (source / "participants.tsv").is_file():
        subjects, skipped = _one_file_each(source, suffix, unknown)
    else:
        raise InputError(
            f"{source}: source must hold train.npy with train.tsv (rows of the challenge) or "
            "participants.tsv (one file per subject), got neither. Check the folder."
        )
    _check_splits(subjects, source)
    return subjects, skipped, age_note(unknown, source.name)


def _challenge(folder: Path, unknown: list[str]) -> list[Subject]:
    subjects = []
    for name in ("train", "test"):
        path = folder / f"{name}.npy"
        if not path.is_file():
            continue
        table = read_table(folder / f"{name}.tsv", "age", "split", SITES)
        first = _first_row(path, len(table))
        for index, line in enumerate(table):
            patient = _plain(line.get("participant_id") or f"{name}-{index:05d}")
            subject = _subject(line, patient, path, first + index, unknown)
            subjects.append(replace(subject, name=f"{path.name}, row {first + index}"))
    return _named_splits(subjects, folder)


def _first_row(path: Path, count: int) -> int:
    """Where the subjects begin: an early release has a first row that holds a count and NaN."""
    try:
        rows = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path}: must be a whole .npy file, got an error ({type(error).__name__}). "
            "Copy it again."
        ) from None
    require(
        rows.ndim == 2 and rows.shape[1] == ROW,
        f"{path}: rows must have {ROW} values, got shape {rows.shape}. "
        "Pass the folder of the challenge's train.npy.",
    )
    header = len(rows) == count + 1 and bool(np.isnan(rows[0, 1:1000]).all())
    require(
        header or len(rows) == count,
        f"{path}: must have as many rows as {path.stem}.tsv, got {len(rows)} and {count}. "
        "Use the table that came with it.",
    )
    return int(header)


def _one_file_each(source: Path, suffix: str, unknown: list[str]) -> tuple[list[Subject], Skipped]:
    table = read_table(source / "participants.tsv", "participant_id", "age", "split", SITES)
    files: dict[str, Path] = {}
    endings = tuple(suffix + extension for extension in EXTENSIONS)
    walked = walk(source, lambda path: path.name.endswith(EXTENSIONS))
    skipped: Skipped = list(walked.skipped)
    for path in walked.files:
        if not (path.name.startswith("sub-") and path.name.endswith(endings)):
            continue
        subject = _plain(path.name.split("_")[0])
        if subject in files:
            reason = "a subject must have one image, got a second. Leave one out."
            skipped.append({"file": path.relative_to(source).as_posix(), "reason": reason})
        files.setdefault(subject, path)
    subjects = []
    for line in table:
        patient = _plain(line["participant_id"])
        path_of = files.get(patient)
        if path_of is None:
            reason = f"must have a file sub-*_{suffix}.npy or .nii.gz, got none."
            skipped.append({"file": f"participant {patient}", "reason": reason})
            continue
        described = _subject(line, patient, path_of, None, unknown)
        subjects.append(replace(described, name=path_of.relative_to(source).as_posix()))
    listed = {subject.patient for subject in subjects}
    for path in (path for name, path in files.items() if name not in listed):
        reason = "its subject must be in participants.tsv, got no such line."
        skipped.append({"file": path.relative_to(source).as_posix(), "reason": reason})
    require(
        bool(subjects),
        f"{source}: source must hold files sub-*_{suffix}.npy or .nii.gz of the participants, "
        "got none. Check --source and --modality.",
    )
    return _named_splits(subjects, source), skipped


def _subject(line: Line, patient: str, path: Path, row: int | None, unknown: list[str]) -> Subject:
    site = next((line[name] for name in SITES if line.get(name)), "")
    sex = line.get("sex", "")
    known = read_sex(sex)
    code = _code(sex) if known < 0 else None
    return Subject(
        patient=patient,
        split=line["split"].lower(),
        age=read_age(line["age"], line.where, unknown),
        sex=code if known < 0 else known,
        coded=code is not None,
        site=None if says_nothing(site) else canonical(site),
        diagnosis=read_diagnosis(line.get("diagnosis", "")) or None,
        path=path,
        row=row,
    )


def _code(text: str) -> int | None:
    """A whole number that is no code for "unknown"."""
    value = None if is_unlabelled(text) else number(text)
    return int(value) if value is not None and value.is_integer() else None


def _named_splits(subjects: list[Subject], source: Path) -> list[Subject]:
    """Call every split "train", "internal" or "external".

    A test subject whose split says neither is internal if its site has training subjects.
    """
    training_sites = {
        s.site for s in subjects if "train" in _parts_in(s.split) and s.site is not None
    }
    named = []
    for subject in subjects:
        split = subject.split
        known = _parts_in(split)
        require(
            bool(known) or split.startswith(("val", "test")),
            f"{source}: split must be train, internal_test, external_test, val or test, "
            "got something else. Correct the table.",
        )
        by_site = "internal" if subject.site in training_sites else "external"
        named.append(replace(subject, split=known[0] if known else by_site))
    require(
        any(subject.split == "train" for subject in named),
        f"{source}: split must name training subjects, got none. Correct the table.",
    )
    return named


def _parts_in(split: str) -> list[str]:
    """The parts that a split names, the one that counts first; "untrained" names none."""
    words = re.findall("[a-z]+", split)
    return [
        part
        for part in ("external", "train", "internal")
        if any(word.startswith(part) for word in words)
    ]


def _check_splits(subjects: list[Subject], source: Path) -> None:
    """No subject may be in two splits: its scans would be trained on and tested."""
    earlier: dict[str, Subject] = {}
    for subject in subjects:
        other = earlier.setdefault(subject.patient, subject)
        require(
            other.split == subject.split,
            f"{source}: every subject must be in one split, got one in {other.split} and "
            f"{subject.split}. Correct the tables.",
        )
        require(
            other is subject or subject.row is not None,
            f"{source}: participants.tsv must list a subject once, got one twice. "
            "Correct the table.",
        )


def _plain(participant: str) -> str:
    return participant.removeprefix("sub-")
