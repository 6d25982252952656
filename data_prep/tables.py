"""Tables as their owners publish them: CSV with any separator, and the first sheet of an XLSX."""

import csv
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from common.checks import InputError, require

__all__ = ["read_rows", "read_table"]

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
LARGEST = 50_000_000  # bytes of a sheet


def read_table(path: Path, *columns: str) -> list[dict[str, str]]:
    """Read the rows below a header.

    Args:
        path: CSV or XLSX.
        columns: that must be there, in lower case.

    Returns:
        One dictionary a row: column in lower case, without blanks around it, to stripped text.

    Raises:
        InputError: unreadable, or a column is missing.
    """
    rows = read_rows(path)
    header = [cell.lower() for cell in rows[0]]
    missing = [column for column in columns if column not in header]
    require(
        not missing,
        f"{path.name}: must have the columns {', '.join(columns)}, got no {', '.join(missing)}. "
        "Take the table that comes with the data set.",
    )
    return [dict(zip(header, row)) for row in rows[1:]]


def read_rows(path: Path) -> list[list[str]]:
    """Read all rows that are not blank, each cell stripped.

    Raises:
        InputError: unreadable or empty.
    """
    try:
        rows = _sheet(path) if path.suffix.lower() == ".xlsx" else _lines(path)
    except (OSError, ValueError, LookupError, csv.Error, SyntaxError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path.name}: must be a readable CSV or XLSX table, got {type(error).__name__}. "
            "Save it again as CSV UTF-8."
        ) from None
    rows = [row for row in ([cell.strip() for cell in row] for row in rows) if any(row)]
    require(bool(rows), f"{path.name}: must have rows, got none.")
    return rows


def _lines(path: Path) -> list[list[str]]:
    text = path.read_text(encoding="utf-8-sig")
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    return list(csv.reader(text.splitlines(), delimiter=separator))


def _sheet(path: Path) -> list[list[str]]:
    """Rows of the first sheet (ECMA-376, part 1, 18.3)."""
    with zipfile.ZipFile(path) as book:
        names = sorted(name for name in book.namelist() if "worksheets/sheet" in name)
        shared = []
        if "xl/sharedStrings.xml" in book.namelist():
            shared = [
                "".join(part.text or "" for part in item.iter(f"{SHEET}t"))
                for item in _parsed(book, "xl/sharedStrings.xml").iter(f"{SHEET}si")
            ]
        rows = []
        for row in _parsed(book, names[0]).iter(f"{SHEET}row"):
            cells: dict[int, str] = {}
            for cell in row.iter(f"{SHEET}c"):
                value = "".join(part.text or "" for part in cell.iter() if part.tag in _VALUES)
                text = shared[int(value)] if cell.get("t") == "s" and value else value
                cells[_column(cell.get("r", ""), len(cells))] = text
            rows.append([cells.get(number, "") for number in range(max(cells, default=-1) + 1)])
    return rows


_VALUES = (f"{SHEET}v", f"{SHEET}t")


def _parsed(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if book.getinfo(name).file_size > LARGEST:
        raise ValueError
    text = book.read(name)
    if b"<!DOCTYPE" in text[:1000]:  # entities can grow without bound; no sheet needs them
        raise ValueError
    return ElementTree.fromstring(text)


def _column(reference: str, following: int) -> int:
    """Number of a column from a reference such as AB12, counted from 0."""
    letters = re.match(r"[A-Z]+", reference)
    if letters is None:
        return following
    number = 0
    for letter in letters[0]:
        number = 26 * number + ord(letter) - 64
    return number - 1
