"""Chest X-rays (DICOM, PNG, JPEG, TIFF) as grey PNG, de-identified, with labels.

Each image is read as a viewer shows it (`common.data.read_image`: LUTs or window, MONOCHROME1
inverted once, upright), shrunk to at most ``--size`` pixels on its longer side with antialiasing,
and written as PNG without any metadata.

Labels come from ``--labels`` (see `data_prep.labels`) or, without it, from the names of the folders
that hold the images (NORMAL/, PNEUMONIA/) where there are 2 to 10; else all labels are -1.

De-identified: the output holds pixels and an allow-list (age in years, at most 90; sex; view;
modality). Patients become p0001, p0002, ... in the order of the SHA-256 of their identity, which
tells nothing to those who lack the list of identities. A DICOM file that says its pixels hold
burnt-in annotation (0028,0301) is skipped. A patient is the CSV's ``patient`` column, else DICOM
Patient ID, else the file name up to its first ``_`` where that ends in a digit (00000001_000.png,
person12_virus_3.jpeg), else the file. Patients who share an exact image count as one,
unless the CSV gives the split: a copy must not lie on both sides of it.

Counts to expect (ours, 2026-11): Kermany's 224 px copy, 3 306 JPEG, gives 3 306 images.
"""

import argparse
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.data import read_image, seeded_order
from common.data.dicom import dicom_facts, is_dicom
from common.data.image import is_image, is_volume
from common.data.prepare import Preparation, check_shown, store
from data_prep.files import Output, encode_png, to_integers
from data_prep.labels import LabelTable, Row, number_names, read_labels
from data_prep.plan import Item, Plan
from data_prep.split import FOLDS, Entry, split_by_share

__all__ = ["add_arguments", "lay_out", "plan"]

ALLOWED = ("age", "sex", "view", "modality")
MAX_CLASSES = 10
VALIDATION, TEST = 0.1, 0.3


@dataclass(frozen=True)
class Film:
    """One image to convert: where it is, where it goes, what is known of it."""

    path: Path
    stem: str
    entry: Entry
    size: int
    bits: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``chest_xray``."""
    parser.add_argument("--labels", type=Path, help="CSV with image, label, ...")
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
    table = read_labels(options.labels, source) if options.labels else _from_folders(source)
    return lay_out(
        table,
        options,
        source="chest X-rays (data_prep chest_xray)",
        arguments={"labels": options.labels.name if options.labels else None},
    )


def lay_out(
    table: LabelTable,
    options: argparse.Namespace,
    *,
    source: str,
    arguments: dict[str, Any],
    licence: str = "that of the source",
    validation: float = VALIDATION,
) -> Plan:
    """Lay out the work on the images of a table.

    Args:
        table: the images, who belongs together, and what is known of them.
        options: ``source`` (folder), ``size``, ``bits`` and ``seed``.
        source: one sentence, recorded.
        arguments: recorded beside size, bits and seed.
        licence: recorded.
        validation: share of the training patients, where the table gives the test part alone.
    """
    films, skipped = _films(table, options)
    splits = {film.entry["patient"]: row.part for row, film in films if row.part}
    return Plan(
        source=source,
        licence=licence,
        arguments={key: getattr(options, key) for key in ("bits", "seed", "size")} | arguments,
        items=[
            Item(film.stem.replace("/", "_"), row.path.as_posix(), film, _stamp(film))
            for row, film in films
        ],
        convert=convert,
        split=partial(_split, seed=options.seed, given=splits, validation=validation),
        skipped=skipped,
        extra={
            "classes": table.classes,
            "sites": table.sites,
            **Preparation("grey", options.size, options.bits).record(),
        },
        merge_copies=not splits,
    )


def convert(film: Film, output: Output) -> list[Entry]:
    """Read one film, shrink it and write it as PNG."""
    require(not is_volume(film.path), f"{film.path.name}: must be a 2D image, got a NIfTI volume.")
    image = store(read_image(film.path), Preparation("grey", film.size, film.bits))
    check_shown(image, film.path.name)
    path = output.write(f"images/{film.stem}.png", encode_png(to_integers(image[0], film.bits)))
    return [{**film.entry, "image": path}]


def _from_folders(source: Path) -> LabelTable:
    """Every image below `source`, labelled by its folder where there are a few folders."""
    paths = sorted(path for path in source.rglob("*") if path.is_file() and is_image(path))
    archives = any(source.glob("*.zip"))
    require(
        bool(paths),
        f"{source}: source must hold DICOM, PNG, JPEG or TIFF images, got none. "
        + ("Extract the zip archive in it first." if archives else "Check the folder."),
    )
    names = number_names(path.parent.name for path in paths)
    named = 2 <= len(names) <= MAX_CLASSES
    rows = [
        Row(
            path.relative_to(source),
            None,
            {"label": names[path.parent.name] if named else -1},
            None,
        )
        for path in paths
    ]
    return LabelTable(rows, list(names) if named else [])


def _films(
    table: LabelTable, options: argparse.Namespace
) -> tuple[list[tuple[Row, Film]], list[dict[str, str]]]:
    """Give every usable row its pseudonym and its place in the output."""
    found: dict[str, list[tuple[Row, Entry]]] = defaultdict(list)
    skipped = []
    for row in sorted(table.rows, key=lambda row: row.path.as_posix()):
        path = options.source / row.path
        try:
            facts = dicom_facts(path) if is_dicom(path) else {}
        except InputError as error:
            skipped.append({"file": row.path.as_posix(), "reason": str(error)})
            continue
        if facts.get("burned_in"):
            reason = "the header says that annotation is burnt into the pixels (0028,0301)"
            skipped.append({"file": row.path.as_posix(), "reason": reason})
            continue
        allowed = {key: facts[key] for key in ALLOWED if key in facts}
        patient = row.patient or facts.get("patient") or _patient_of(row.path)
        found[patient].append((row, {**allowed, **row.entry}))
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
            )
            films.append((row, film))
    return films, skipped


def _patient_of(path: Path) -> str:
    """The file name up to its first ``_`` where that ends in a digit, else the whole path."""
    start = re.match(r"([^_]*\d)_", path.name)
    return start[1] if start else path.as_posix()


def _stamp(film: Film) -> str:
    return f"{film.path.stat().st_size} {film.entry}"


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
