"""Labels from a CSV, each row checked against the images.

Columns: ``image`` (or ``file``) and ``label``; optional ``patient``, ``split`` (train, validation
or test), ``fold`` (0, 1 or 2, of test images), ``age`` (years) and ``site``. Others are passed
over.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.checks import InputError, require

__all__ = ["SPLITS", "LabelTable", "Row", "number_names", "read_labels"]

SPLITS = {
    "train": "training",
    "training": "training",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
OLDEST_AGE = 90  # stands for 90 and above, as HIPAA's safe harbour asks


@dataclass(frozen=True)
class Row:
    """One image of the CSV: its file below the source, and what the row says of it."""

    path: Path
    patient: str | None
    entry: dict[str, Any]
    part: str | None


@dataclass(frozen=True)
class LabelTable:
    """All rows, and the names behind the numbers of ``label`` and ``site``."""

    rows: list[Row]
    classes: list[str]
    sites: list[str] = field(default_factory=list)


def read_labels(table: Path, source: Path) -> LabelTable:
    """Read `table` and check every row.

    Args:
        table: the CSV.
        source: folder the image names are relative to.

    Raises:
        InputError: unreadable, a missing column, a missing or repeated file, a patient in two
            splits, or a value out of range; one line that names the row.
    """
    lines = _read(table)
    columns = set(lines[0])
    require(
        bool(columns & {"image", "file"}) and "label" in columns,
        f"{table.name}: must have the columns image (or file) and label, got "
        f"{', '.join(sorted(columns))}. Rename them.",
    )
    classes = number_names(line["label"] for line in lines if line["label"])
    sites = number_names(line["site"] for line in lines if line.get("site"))
    rows = []
    for number, line in enumerate(lines, start=2):
        rows.append(_row(line, f"{table.name}, line {number}", source, classes, sites))
    _check_together(rows, table.name)
    return LabelTable(rows, list(classes), list(sites))


def number_names(names: Any) -> dict[str, int]:
    """Number distinct names in sorted order; whole numbers sort as numbers.

    >>> number_names(["PNEUMONIA", "NORMAL", "NORMAL"])
    {'NORMAL': 0, 'PNEUMONIA': 1}
    >>> number_names(["10", "9"])
    {'9': 0, '10': 1}
    """
    distinct = set(names)
    if all(name.isdigit() for name in distinct):
        ordered = sorted(distinct, key=int)
    else:
        ordered = sorted(distinct)
    return {name: index for index, name in enumerate(ordered)}


def _read(table: Path) -> list[dict[str, str]]:
    """Rows with lower-case column names and stripped values."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            lines = [
                {str(k).strip().lower(): (v or "").strip() for k, v in line.items() if k}
                for line in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{table}: labels must be a readable UTF-8 CSV, got {type(error).__name__}. "
            "Check the path and save it as CSV UTF-8."
        ) from None
    require(bool(lines), f"{table}: labels must have a header and rows, got no row.")
    return lines


def _row(
    line: dict[str, str], where: str, source: Path, classes: dict[str, int], sites: dict[str, int]
) -> Row:
    name = line.get("image") or line.get("file") or ""
    require(bool(name), f"{where}: image must name a file, got nothing.")
    require(
        (source / name).is_file(),
        f"{where}: image must be a file below the source folder, got {name}, which is missing. "
        "Correct the name or remove the row.",
    )
    entry: dict[str, Any] = {"label": classes[line["label"]] if line["label"] else -1}
    if line.get("site"):
        entry["site"] = sites[line["site"]]
    if line.get("age"):
        entry["age"] = min(int(_number(line["age"], f"{where}: age", 0, 130)), OLDEST_AGE)
    if line.get("fold"):
        entry["fold"] = int(_number(line["fold"], f"{where}: fold", 0, 2))
    part = None
    if line.get("split"):
        part = SPLITS.get(line["split"].lower())
        require(
            part is not None,
            f"{where}: split must be train, validation or test, got {line['split']}.",
        )
    return Row(Path(name), line.get("patient") or None, entry, part)


def _number(text: str, where: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    require(low <= value <= high, f"{where} must be a number in {low:g}..{high:g}, got {text}.")
    return value


def _check_together(rows: list[Row], name: str) -> None:
    """No file twice, a split for all rows or none, no patient in two splits or folds."""
    parts = [row.part for row in rows]
    require(
        all(parts) or not any(parts),
        f"{name}: split must be filled in every row or in none, got {parts.count(None)} empty.",
    )
    files: set[Path] = set()
    places: dict[str, tuple[str | None, int | None]] = {}
    for row in rows:
        require(row.path not in files, f"{name}: every image must be listed once, got {row.path}.")
        files.add(row.path)
        if row.patient is None:
            continue
        place = (row.part, row.entry.get("fold"))
        other = places.setdefault(row.patient, place)
        require(
            other == place,
            f"{name}: every patient must be in one split and fold, got patient {row.patient} in "
            f"{_words(other)} and {_words(place)}. Correct the rows or remove the split column.",
        )


def _words(place: tuple[str | None, int | None]) -> str:
    part, fold = place
    return (part or "no split") + ("" if fold is None else f" fold {fold}")
