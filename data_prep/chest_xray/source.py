"""The plan of `data_prep.chest_xray`, and how a film becomes a picture."""

import argparse
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.data import read_image, seeded_order
from common.data.image import is_image, is_volume
from common.data.prepare import Preparation, store
from common.data.reading import check_shown
from data_prep.machinery import (
    ARCHIVE,
    FOLDS,
    Entry,
    Item,
    LabelTable,
    Origin,
    Output,
    Plan,
    Row,
    Walk,
    add_label_arguments,
    attempt,
    encode_png,
    find_labels,
    header_facts,
    label_arguments,
    split_by_share,
    to_integers,
    walk,
)

__all__ = ["add_arguments", "lay_out", "plan"]

ALLOWED = ("age", "sex", "view", "modality")
VALIDATION, TEST = 0.1, 0.3


@dataclass(frozen=True)
class Film:
    """One image to convert: where it is, where it goes, what is known of it, whom it is of."""

    path: Path
    stem: str
    entry: Entry
    size: int
    bits: int
    identity: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``chest_xray``."""
    add_label_arguments(parser)
    parser.add_argument("--size", type=int, default=512, help="longer side at most; 0: original")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Find the images, read who belongs together, and lay out the work.

    Raises:
        InputError: no folder, no images, or a fault in the CSV.
    """
    source: Path = options.source
    require(
        options.size == 0 or options.size >= 32,
        f"chest_xray: --size must be 0 or >= 32, got {options.size}.",
    )
    require(
        source.suffix.lower() != ".zip",
        f"{source}: source must be a folder, got a zip archive. Extract it first.",
    )
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    walked = _images(source)
    images = [path.relative_to(source) for path in walked.files]
    table = find_labels(source, images, options.labels, options.negative)
    return lay_out(
        table,
        options,
        walked=walked,
        source="chest X-rays (data_prep chest_xray)",
        arguments=label_arguments(options),
    )


def lay_out(
    table: LabelTable,
    options: argparse.Namespace,
    *,
    source: str,
    arguments: dict[str, Any],
    licence: str = "that of the source",
    validation: float = VALIDATION,
    walked: Walk | None = None,
) -> Plan:
    """Lay out the work on the images of a table.

    Args:
        table: the images, who belongs together, and what is known of them.
        options: ``source`` (folder), ``size``, ``bits`` and ``seed``.
        source: one sentence, recorded.
        arguments: recorded beside size, bits and seed.
        licence: recorded.
        validation: share of the training patients, where the table gives the test part alone.
        walked: what else lies in the source, where it was walked.
    """
    films, skipped, notes = _films(table, options)
    splits = {film.entry["patient"]: row.part for row, film in films if row.part}
    return Plan(
        source=source,
        licence=licence,
        arguments={key: getattr(options, key) for key in ("bits", "seed", "size")} | arguments,
        items=[
            Item(film.stem.replace("/", "_"), film, (_origin(row, film),)) for row, film in films
        ],
        convert=convert,
        split=partial(_split, seed=options.seed, given=splits, validation=validation),
        skipped=[*(walked.skipped if walked else []), *skipped],
        extra={
            "classes": {"label": table.classes, "site": table.sites},
            **Preparation("grey", options.size, options.bits).record(),
        },
        merge_copies=not splits,
        root=options.source,
        notes=[*table.notes, *notes, *(walked.notes if walked else [])],
    )


def convert(film: Film, output: Output) -> list[Entry]:
    """Read one film, shrink it and write it as PNG."""
    require(not is_volume(film.path), f"{film.path.name}: must be a 2D image, got a NIfTI volume.")
    image = store(read_image(film.path), Preparation("grey", film.size, film.bits))
    check_shown(image, film.path.name)
    path = output.write(f"images/{film.stem}.png", encode_png(to_integers(image[0], film.bits)))
    return [{**film.entry, "image": path}]


def _images(source: Path) -> Walk:
    """Every image below `source`."""
    walked = walk(source, is_image)
    archives = any(line["reason"] == ARCHIVE for line in walked.skipped)
    require(
        bool(walked.files),
        f"{source}: source must hold DICOM, PNG, JPEG or TIFF images, got none. "
        + ("Extract the archive in it first." if archives else "Check the folder."),
    )
    return walked


def _films(
    table: LabelTable, options: argparse.Namespace
) -> tuple[list[tuple[Row, Film]], list[dict[str, str]], list[str]]:
    """Give every usable row its pseudonym and its place in the output."""
    found: dict[str, list[tuple[Row, Entry]]] = defaultdict(list)
    skipped = []
    sure: set[str] = set()
    nameless = 0
    for row in sorted(table.rows, key=lambda row: row.path.as_posix()):
        path = options.source / row.path
        try:
            facts = attempt(header_facts, path)
        except InputError as error:
            skipped.append({"file": row.path.as_posix(), "reason": str(error)})
            continue
        if facts.get("burned_in"):
            reason = "the header says that annotation is burnt into the pixels (0028,0301)"
            skipped.append({"file": row.path.as_posix(), "reason": reason})
            continue
        allowed = {key: facts[key] for key in ALLOWED if key in facts}
        known = row.patient or facts.get("patient")
        patient = known or _patient_of(row.path)
        sure |= {patient} if known else set()
        nameless += "patient" in facts and not known
        found[patient].append((row, {**allowed, **row.entry}))
    if table.folders:
        _check_folders(found, sure)
    found, notes = _kept_apart(found, sure)
    if nameless:
        notes.append(
            f"{nameless} DICOM files name no patient (none, Anonymous, 0 or the like): each counts "
            "as its own, or by its file name. Give --labels CSV with a column patient if you know"
        )
    films = []
    for number, patient in enumerate(seeded_order(found, seed=0), start=1):
        for index, (row, entry) in enumerate(found[patient]):
            name = f"p{number:04d}"
            film = Film(
                options.source / row.path,
                f"{name}/{index:03d}",
                {**entry, "patient": name},
                options.size,
                options.bits,
                patient,
            )
            films.append((row, film))
    return films, skipped, notes


def _check_folders(found: dict[str, list[tuple[Row, Entry]]], sure: set[str]) -> None:
    """Folders that are classes must not hold the films of one DICOM patient each."""
    of_folder: dict[Path, set[str]] = defaultdict(set)
    films: Counter[Path] = Counter()
    for patient, rows in found.items():
        for row, _ in rows:
            of_folder[row.path.parent].add(patient if patient in sure else "")
            films[row.path.parent] += 1
    require(
        len(set().union(*of_folder.values())) < len(of_folder)
        or not all(len(of_folder[f]) == 1 and films[f] > 1 for f in of_folder),
        f"chest_xray: folders must be classes, got {len(of_folder)} that hold one patient each (by "
        "the DICOM Patient ID). Give --labels CSV with image and label.",
    )


def _kept_apart(
    found: dict[str, list[tuple[Row, Entry]]], sure: set[str]
) -> tuple[dict[str, list[tuple[Row, Entry]]], list[str]]:
    """Patients of whom the given split parts the images: an error, or one in each if guessed."""
    kept: dict[str, list[tuple[Row, Entry]]] = {}
    crossing = 0
    for patient, rows in found.items():
        parts = {row.part for row, _ in rows}
        require(
            len(parts) == 1 or patient not in sure,
            f"{rows[0][0].part} and {rows[-1][0].part}: the split must keep a patient in one part, "
            "got one, by the DICOM Patient ID, in both. Add a column patient or correct the split.",
        )
        if len(parts) == 1:
            kept[patient] = rows
            continue
        crossing += 1
        for part in sorted(str(part) for part in parts):
            kept[f"{patient} in {part}"] = [(row, e) for row, e in rows if row.part == part]
    words = (
        f"the given split is kept: {crossing} patients, guessed from file names, have images in "
        "two of its parts. Add a column patient if you know them"
    )
    return kept, [words] if crossing else []


def _patient_of(path: Path) -> str:
    """The file name up to its first ``_`` where that ends in a digit, else the whole path."""
    start = re.match(r"([^_]*\d)_", path.name)
    return start[1] if start else path.as_posix()


def _origin(row: Row, film: Film) -> Origin:
    facts = sorted((key, value) for key, value in film.entry.items() if key != "patient")
    return Origin(row.path.as_posix(), (film.path,), f"{facts} {row.part}", film.identity)


def _split(
    entries: list[Entry], seed: int, given: dict[str, str], validation: float
) -> dict[str, list[Entry]]:
    """The CSV's splits; what it leaves open (all, validation, folds) is drawn by patient."""
    if not given:
        free = [{k: v for k, v in entry.items() if k != "fold"} for entry in entries]
        return split_by_share(free, seed, VALIDATION, TEST)
    order = seeded_order(given, seed)
    testing = [patient for patient in order if given[patient] == "test"]
    folds = {patient: index % FOLDS for index, patient in enumerate(testing)}
    place = dict(given)
    if "validation" not in given.values():
        training = [patient for patient in order if given[patient] == "training"]
        place |= dict.fromkeys(training[: round(validation * len(training))], "validation")
    parts: dict[str, list[Any]] = {"training": [], "validation": [], "test": []}
    for entry in entries:
        part = place[entry["patient"]]
        kept = {k: v for k, v in entry.items() if k != "fold" or part == "test"}
        if part == "test":
            kept.setdefault("fold", folds[entry["patient"]])
        parts[part].append(kept)
    return parts
