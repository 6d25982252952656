"""From the file of a table to rows of texts: CSV, TSV and XLSX.

CSV: comma, semicolon or tab, whichever the header has most of (or Excel's first line ``sep=;``);
UTF-8 with or without a mark, UTF-16, else Windows-1252. A quotation mark that is not closed, or
closed in the middle of a cell, is refused with its line: it would swallow rows. XLSX: what the
cells of its visible sheets show, never a formula.
"""

import codecs
import csv
import io
import re
import unicodedata
import warnings
import zipfile
from datetime import date, datetime
from pathlib import Path
from typing import Any

from common.checks import InputError, require

__all__ = ["Rows", "read_sheets"]

LARGEST = 500_000_000  # bytes of a table, unpacked
# most rows and columns of a sheet, most blank rows one after the other; a CSV may be longer
ROWS, COLUMNS, BLANK = 100_000, 2_000, 10_000
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

Rows = list[tuple[int, list[str]]]


def read_sheets(path: Path) -> dict[str, Rows]:
    """Read the rows that are not blank, with the number of their line, of each sheet.

    A CSV is one sheet of the file's name. Cells are stripped.

    Raises:
        InputError: unreadable, too large or empty.
    """
    try:
        require(
            path.exists(),
            f"{path.name}: must be a readable CSV or XLSX table, got no such file. Check the path, "
            "which starts at the folder you are in.",
        )
        require(
            path.is_file(),
            f"{path.name}: must be a readable CSV or XLSX table, got a folder or a pipe. Check the "
            "path.",
        )
        size = path.stat().st_size
        require(size <= LARGEST, f"{path.name}: must be a table of at most 500 MB, got {size}.")
        with path.open("rb") as file:
            packed = file.read(4) == b"PK\3\4"
        contents = _workbook(path) if packed else {path.name: _lines(path)}
    except InputError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged workbook makes it meet
        raise InputError(
            f"{path.name}: must be a readable CSV or XLSX table, got {type(error).__name__}. "
            "Check the path, or save it again as CSV UTF-8."
        ) from None
    sheets = {name: [row for row in rows if any(row[1])] for name, rows in contents.items()}
    sheets = {name: rows for name, rows in sheets.items() if rows}
    require(bool(sheets), f"{path.name}: must have rows, got none.")
    return sheets


def _lines(path: Path) -> Rows:
    """Rows of a CSV."""
    import pandas

    text = _decoded(path.read_bytes())
    require(
        "\0" not in text,
        f"{path.name}: must be a CSV or XLSX table, got something that is no text. Save it again "
        "as CSV UTF-8.",
    )
    first, _, rest = text.partition("\n")
    named = re.fullmatch(r"sep=(.)\r?", first, re.IGNORECASE)
    text = rest if named else text
    separator = named[1] if named else _separator(text)
    starts, width = _records(path.name, text, separator, skipped=int(named is not None))
    if not starts:
        return []
    frame = pandas.read_csv(
        io.StringIO(text, newline=""),
        sep=separator,
        names=list(range(width)),
        dtype=str,
        na_filter=False,
        skip_blank_lines=False,
        skipinitialspace=True,
        index_col=False,
    )
    cells = frame.to_numpy(dtype=object).tolist()
    require(
        len(cells) == len(starts),
        f"{path.name}: must be a plain CSV, got {len(starts)} rows or {len(cells)} by how one "
        "counts. Save it again as CSV UTF-8.",
    )
    rows = zip(starts, (row for row in cells))
    return [
        (start, [_plain(cell) for cell in row[:length]]) for (start, length), row in rows if length
    ]


def _records(
    name: str, text: str, separator: str, skipped: int
) -> tuple[list[tuple[int, int]], int]:
    """First line and number of cells of each row; the quotation marks are checked.

    Pandas lets a stray quotation mark swallow the rows up to the next one; csv can be strict.
    """
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True
    )
    starts, most, start = [], 1, 1 + skipped
    cure = "Close its quotation mark, or take it out."
    try:
        for cells in reader:
            within = [part for cell in cells for part in re.split(r"\r\n|\r|\n", cell)[1:]]
            require(
                not most > 1 or all(part.count(separator) < most - 1 for part in within),
                f"{name}, line {start}: a cell must end on its line, got one that goes on over "
                f"other rows. {cure}",
            )
            starts.append((start, len(cells)))
            most = max(most, len(cells))
            start = reader.line_num + 1 + skipped
    except csv.Error as error:
        raise InputError(
            f"{name}, line {start}: quotation marks must enclose whole cells, got a row that csv "
            f"cannot read ({error}). {cure}"
        ) from None
    return starts, most


def _decoded(data: bytes) -> str:
    for mark, encoding in MARKS.items():
        if data.startswith(mark):
            return data.decode(encoding)
    if data[1:400:2].count(0) * 3 > len(data[:400]):
        return data.decode("utf-16-le")
    if data[:400:2].count(0) * 3 > len(data[:400]):
        return data.decode("utf-16-be")
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def _separator(text: str) -> str:
    """The separator that the first row that is not blank has most of, outside quotation marks."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    bare = re.sub(r'"[^"]*"', "", first)
    return max(",;\t", key=bare.count)


def _plain(cell: str) -> str:
    """A cell in composed Unicode, without blanks around it."""
    return unicodedata.normalize("NFC", cell).strip().strip("\ufeff")


def _workbook(path: Path) -> dict[str, Rows]:
    """Rows of the visible sheets: what was last computed, with the formulas to check it."""
    import openpyxl

    with zipfile.ZipFile(path) as book:
        size = sum(member.file_size for member in book.infolist())
        require(
            size <= LARGEST,
            f"{path.name}: must be a table of at most 500 MB, got {size // 1_000_000} MB unpacked. "
            "Save it as CSV.",
        )
        for member in book.namelist():
            if member.endswith(".xml") and b"<!DOCTYPE" in book.open(member).read(1000):
                raise ValueError  # entities can grow without bound; no sheet needs them
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of openpyxl: extensions that it passes over
        content = path.read_bytes()
        shown = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        typed = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=False)
        try:
            return {
                sheet.title: _cells(path.name, sheet, typed[sheet.title])
                for sheet in shown.worksheets
                if sheet.sheet_state == "visible"
            }
        finally:
            shown.close()
            typed.close()


def _cells(name: str, shown: Any, typed: Any) -> Rows:
    """Rows of one sheet, read one at a time until it is too large."""
    rows: Rows = []
    for sheet in (shown, typed):
        sheet.reset_dimensions()  # some programs write wrong ones
    for place, (values, written) in enumerate(zip(shown.iter_rows(), typed.iter_rows()), start=1):
        require(
            place <= min(ROWS, BLANK + (rows[-1][0] if rows else 0)) and len(values) <= COLUMNS,
            f"{name}: a sheet must have at most {ROWS} rows, {BLANK} of them blank on end, and "
            f"{COLUMNS} columns, got a cell beyond. Delete what lies far below and to the right, "
            "or save it as CSV.",
        )
        cells = [_shown(name, value, cell) for value, cell in zip(values, written)]
        if any(cells):
            rows.append((place, cells))
    width = max((len(cells) for _, cells in rows), default=0)
    return [(place, [*cells, *[""] * (width - len(cells))]) for place, cells in rows]


def _shown(name: str, value: Any, written: Any) -> str:
    """What a cell shows; a number formatted 0000 keeps its zeros."""
    content = value.value
    if content is None:
        require(
            written.data_type != "f",
            f"{name}, cell {written.coordinate if written.value else ''}: must hold a value, got a "
            "formula that was not computed. Open and save it in Excel, or save it as CSV.",
        )
        return ""
    if value.data_type == "e":
        require(
            content == "#N/A",
            f"{name}, cell {value.coordinate}: must hold a value, got the error {content}.",
        )
        return ""
    if isinstance(content, bool):
        return str(content).upper()
    if isinstance(content, float) and content.is_integer() and abs(content) < 1e15:
        content = int(content)
    if isinstance(content, int):
        zeros = re.fullmatch(r"0+", value.number_format)
        return str(content).zfill(len(zeros[0])) if zeros else str(content)
    if isinstance(content, datetime) and not (content.hour or content.minute or content.second):
        content = content.date()
    return content.isoformat() if isinstance(content, date) else _plain(str(content))
