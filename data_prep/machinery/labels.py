"""Labels of images: from a table (CSV or XLSX), each row checked, or from folders.

Columns: ``image`` (or ``file``) and ``label``; optional ``patient``, ``split`` (train, validation
or test), ``fold`` (0, 1 or 2, of test images), ``age`` (years) and ``site``; `Columns` gives them
other names. Others are passed over. `data_prep.machinery.classes` numbers the classes; ages below 0
or above 120 are unknown.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

from common.checks import require
from common.data.tables import (
    TABLES,
    Line,
    canonical,
    is_missing,
    number,
    read_rows,
    read_table,
    says_nothing,
)
from data_prep.machinery.ages import age_note, read_age
from data_prep.machinery.classes import SPLITS, folder_names, name_classes, number_names
from data_prep.machinery.columns import Columns
from data_prep.machinery.image_names import Find, image_of

__all__ = [
    "BESIDE",
    "FOLDERS",
    "LabelTable",
    "Row",
    "add_label_arguments",
    "find_labels",
    "label_arguments",
    "read_labels",
]

FOLDERS = "folders"  # word for --labels
BESIDE = "labels.csv"


@dataclass(frozen=True)
class Row:
    """One image of the table: its file below the source, and what the row says of it."""

    path: Path
    patient: str | None
    entry: dict[str, Any]
    part: str | None


@dataclass(frozen=True)
class LabelTable:
    """All rows, names behind the numbers of ``label``, ``site`` and ``bias``, lines for the user.

    `folders` says that the labels are names of folders.
    """

    rows: list[Row]
    classes: list[str]
    sites: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    folders: bool = False
    biases: list[str] = field(default_factory=list)


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--labels`` and ``--negative``."""
    parser.add_argument(
        "--labels", type=Path, help="CSV or XLSX with image, label, ...; or the word folders"
    )
    parser.add_argument("--negative", metavar="NAME", help="the class that is to be number 0")


def label_arguments(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the manifest records of them."""
    given = {"negative": options.negative} if options.negative is not None else {}
    return {"labels": options.labels.name if options.labels else None, **given}


def find_labels(
    source: Path,
    images: Sequence[PurePath],
    given: Path | None,
    negative: str | None = None,
    *,
    find: Find | None = None,
    keep_parts: bool = False,
    columns: Columns | None = None,
    classes_by_folder: bool = False,
    patient_folders: bool = False,
) -> LabelTable:
    """Label the images of a folder: by ``--labels``, a ``labels.csv`` in it, or its folders.

    Args:
        source: the folder.
        images: names of all images, relative to it.
        given: ``--labels``: a table, or the word "folders".
        negative: see `data_prep.machinery.classes.name_classes`.
        find: see `read_labels`.
        keep_parts: whether folders train and test are the split; else it is said that they are not.
        columns: see `Columns`.
        classes_by_folder: without a table folders are classes, as ``--labels folders`` says.
        patient_folders: the folder that holds an image is its patient's, inside that of its class.

    Raises:
        InputError: as `read_labels` and `data_prep.machinery.classes.folder_names`.
    """
    if given is not None and str(given) != FOLDERS:
        return read_labels(given, source, negative, images, find, columns)
    notes = []
    beside, others = _tables_beside(source)
    if given is None and others:
        notes.append(f"{others} tables in the source are not read: name one with --labels")
    if given is None and beside is not None:
        header = {cell.lower() for cell in read_rows(beside)[0]}
        wanted = (columns or Columns()).wanted()
        if all(header & ({name} if isinstance(name, str) else set(name)) for name in wanted):
            table = read_labels(beside, source, negative, images, find, columns)
            notes += [f"labels are read from {BESIDE} in the source; --labels names another table"]
            return replace(table, notes=[*notes, *table.notes])
        notes += [
            f"{BESIDE} in the source is not read: it has no columns image (or file) and label"
        ]
    asked = given is not None or classes_by_folder
    table = _from_folders(images, asked, negative, patient_folders)
    table = table if keep_parts else _without_parts(table)
    return replace(table, notes=[*notes, *table.notes])


def _without_parts(table: LabelTable) -> LabelTable:
    if not any(row.part for row in table.rows):
        return table
    note = (
        "the split is drawn by patient: the folders train and test are not kept. To keep them, "
        "give --labels CSV with a column split"
    )
    rows = [replace(row, part=None) for row in table.rows]
    return replace(table, rows=rows, notes=[note, *table.notes])


def _tables_beside(source: Path) -> tuple[Path | None, int]:
    """The ``labels.csv`` of a source, and how many other tables lie beside it."""
    tables = [
        path
        for path in sorted(source.iterdir())
        if path.suffix.lower() in TABLES and path.is_file()
    ]
    named = [path for path in tables if path.name.lower() == BESIDE]
    return (named[0] if named else None), len(tables) - len(named)


def _from_folders(
    images: Sequence[PurePath], asked: bool, negative: str | None, patient_folders: bool
) -> LabelTable:
    """Folders as classes, and train and test among them as the split."""
    held = [path.parent for path in images] if patient_folders else images
    names, parts, reason = folder_names(held, asked)
    notes = []
    if reason:
        notes = [
            f"no image is labelled: the folders are no classes ({reason}). Give --labels CSV with "
            f"image and label, or --labels {FOLDERS}",
        ]
    classes = name_classes(names, "folders", None if reason else negative)
    rows = [
        Row(
            Path(path),
            path.parent.name if patient_folders else None,
            {"label": classes.numbers[name]},
            part,
        )
        for path, name, part in zip(images, names, parts)
    ]
    rows, more = _settled(rows, "folders")
    notes = notes if reason else [*classes.notes, *more]
    return LabelTable(rows, classes.names, [], notes, not reason)


def _settled(rows: list[Row], where: str) -> tuple[list[Row], list[str]]:
    """The one rule for a given split: it needs a test part; training alone is no split."""
    given = {row.part for row in rows} - {None}
    if given == {"training"}:
        return [replace(row, part=None) for row in rows], [
            f"{where}: all images are in train, which is no split: it is drawn by patient"
        ]
    if "validation" in given and "test" not in given:
        moved = [replace(r, part="test" if r.part == "validation" else r.part) for r in rows]
        return moved, [f"{where}: the validation part is the test, as there is no other"]
    return rows, []


def read_labels(
    table: Path,
    source: Path,
    negative: str | None = None,
    images: Sequence[PurePath] = (),
    find: Find | None = None,
    columns: Columns | None = None,
) -> LabelTable:
    """Read `table` and check every row.

    Args:
        table: CSV or XLSX.
        source: folder the image names are relative to.
        negative: see `data_prep.machinery.classes.name_classes`.
        images: names of all images, to count those that the table does not name.
        find: from a name in the table to the image's own, or None where there is none; by default
            a file below `source`.
        columns: see `Columns`.

    Raises:
        InputError: unreadable, a missing column, a missing or repeated file, a patient in two
            splits, or a value out of range; one line that names the row.
    """
    columns = columns or Columns()
    lines = read_table(table, *columns.wanted())
    kept = columns.kept(lines, table.name)
    for line in lines:
        name_classes([line["label"]], f"{line.where}: label")
    classes = name_classes([line["label"] for line in lines], f"{table.name}: label", negative)
    sites = number_names(canonical(line["site"]) for line in lines if _names(line, "site"))
    unknown: list[str] = []
    biases = number_names(canonical(line["bias"]) for line in lines if _names(line, "bias"))
    rows = [
        _row(line, image_of(line, source, find), classes.numbers, sites, unknown) for line in lines
    ]
    if "bias" in columns.named:
        numbers = [biases.get(canonical(line["bias"]), -1) for line in lines]
        rows = [replace(r, entry={**r.entry, "bias": k}) for r, k in zip(rows, numbers)]
    _check_together(rows, lines, table.name, columns.overlap)
    rows = [replace(row, entry=row.entry | extra) for row, extra in zip(rows, kept)]
    rows, more = _settled(rows, table.name)
    notes = [*classes.notes, *more, *age_note(unknown, table.name)]
    left_out = len(set(map(PurePath, images)) - {row.path for row in rows})
    if left_out:
        notes.append(f"{left_out} images are not in {table.name} and are left out")
    return LabelTable(rows, classes.names, list(sites), notes, biases=list(biases))


def _names(line: Line, column: str) -> bool:
    """Whether a row names a site or the like."""
    return not says_nothing(line.get(column, ""))


def _row(
    line: Line, path: Path, classes: dict[str, int], sites: dict[str, int], unknown: list[str]
) -> Row:
    entry: dict[str, Any] = {"label": classes[line["label"]]}
    if _names(line, "site"):
        entry["site"] = sites[canonical(line["site"])]
    age = read_age(line.get("age", ""), line.where, unknown)
    if age is not None:
        entry["age"] = int(age)
    if not is_missing(line.get("fold", "")):
        fold = number(line["fold"])
        require(
            fold in (0, 1, 2),
            f"{line.where}: fold must be a number in 0..2, got something else. Correct it.",
        )
        entry["fold"] = int(fold or 0)
    part = None
    if not is_missing(line.get("split", "")):
        part = SPLITS.get(line["split"].lower())
        require(
            part is not None,
            f"{line.where}: split must be train, validation or test, got something else. Correct "
            "it, or rename the column.",
        )
    patient = line.get("patient", "")
    return Row(path, None if says_nothing(patient) else patient, entry, part)


def _check_together(rows: list[Row], lines: list[Line], name: str, overlap: bool) -> None:
    """No file twice, a split for all rows or none, no patient in two splits or folds."""
    parts = [row.part for row in rows]
    require(
        all(parts) or not any(parts),
        f"{name}: split must be filled in every row or in none, got {parts.count(None)} empty.",
    )
    first: dict[Path, Line] = {}
    places: dict[str, tuple[tuple[str | None, int | None], Line]] = {}
    for row, line in zip(rows, lines):
        other = first.setdefault(row.path, line)
        labels = f"label {line['label'] or 'empty'} here and {other['label'] or 'empty'} there"
        require(
            other is line,
            f"{line.where}: every image must be listed once, got the one of {other.where}, with "
            f"{labels}. Remove one of the rows.",
        )
        if row.patient is None or overlap:
            continue
        place = (row.part, row.entry.get("fold"))
        earlier, where = places.setdefault(row.patient, (place, line))
        require(
            earlier == place,
            f"{line.where}: every patient must be in one split and fold, got the one of "
            f"{where.where} in {_words(earlier)} and {_words(place)}. Correct the rows, remove "
            "the split column, or use data_prep folders with --overlap drop or keep.",
        )


def _words(place: tuple[str | None, int | None]) -> str:
    part, fold = place
    return (part or "no split") + ("" if fold is None else f" fold {fold}")
