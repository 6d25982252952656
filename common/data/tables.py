"""Every table a user or a data set brings, by one set of rules: CSV and XLSX.

CSV: comma, semicolon or tab, whichever the header has most of (or Excel's first line ``sep=;``);
UTF-8 with or without a mark, UTF-16, else Windows-1252; every row as long as the header. A
quotation mark that is not closed, or closed in the middle of a cell, is refused with its line: it
would swallow rows. XLSX: what the cells show, never a formula; the one sheet that has the columns
asked for (an error if several have). Cells are texts, so that ids keep their zeros; `number` reads
a number, with a decimal comma too, and `is_missing` knows the words for "no value".
"""

import codecs
import csv
import io
import re
import unicodedata
import warnings
import zipfile
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

from common.checks import InputError, require

__all__ = [
    "Line",
    "canonical",
    "check_once",
    "few",
    "is_missing",
    "number",
    "read_rows",
    "read_table",
    "says_nothing",
]

LARGEST = 500_000_000  # bytes of a table, unpacked
# most rows and columns of a sheet, most blank rows one after the other; a CSV may be longer
ROWS, COLUMNS, BLANK = 100_000, 2_000, 10_000
FEW = 10  # names that an error lists
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
NUMBER = re.compile(r"[+-]? ?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
WORDS = (
    "na|n/a|n.a.|n.a|#n/a|<na>|#na|nan|-nan|none|null|nil|missing|unknown|unlabelled|unlabeled|"
    "undefined|unspecified|not available|not labelled|not labeled|no value|?|.|-|--|–|"
)
MISSING = frozenset(WORDS.split("|"))

Rows = list[tuple[int, list[str]]]


class Line(dict[str, str]):
    """One row of a table: column, in lower case, to text.

    Attributes:
        where: what an error calls it, such as "labels.csv, line 3".
    """

    where = ""


def number(text: str) -> float | None:
    """Read a finite number in ASCII digits, with a decimal point or comma; None for other texts.

    >>> number("61,5"), number("007"), number("²"), number("nan")
    (61.5, 7.0, None, None)
    """
    text = text.strip().replace("\u2212", "-")  # the minus sign that is no hyphen
    value = (
        float(text.replace(",", ".").replace(" ", "")) if NUMBER.fullmatch(text) else float("inf")
    )
    return value if abs(value) < float("inf") else None


def is_missing(text: str) -> bool:
    """Whether `text` is nothing, or a word for "no value" such as NA, n/a, nan, none or null."""
    return text.strip().casefold() in MISSING


def canonical(text: str) -> str:
    """Return a whole number in its plain spelling, other texts as they are.

    >>> canonical("12.0"), canonical("007"), canonical("Paris")
    ('12', '7', 'Paris')
    """
    value = number(text)
    return str(int(value)) if value is not None and value.is_integer() else text


def says_nothing(text: str) -> bool:
    """Whether `text` is missing or a negative number, which in a code for people or places is too.

    >>> [says_nothing(text) for text in ("-1", "n/a", "0", "Paris")]
    [True, True, False, False]
    """
    return is_missing(text) or (number(text) or 0) < 0


def read_table(path: Path, *columns: str | tuple[str, ...], capitals: bool = False) -> list[Line]:
    """Read the rows below a header.

    Args:
        path: CSV or XLSX.
        columns: that must be there, in lower case; of a tuple, one of them.
        capitals: accept columns that only their capitals tell apart, which then keep them.

    Returns:
        The rows that are not blank: column in lower case, without blanks around it, to text.

    Raises:
        InputError: unreadable, a column is missing or there twice, a row is longer or shorter than
            the header, or there is no row.
    """
    sheets = _sheets(path)
    headers = {name: _header(rows[0][1], capitals) for name, rows in sheets.items()}
    lacking = {name: _missing(header, columns) for name, header in headers.items()}
    fitting = [name for name, missing in lacking.items() if not missing]
    wanted = [column if isinstance(column, str) else column[0] for column in columns]
    require(
        bool(fitting),
        f"{path.name}: must have the columns {few(wanted)}, got no "
        f"{few(next(iter(lacking.values())))}. Rename its columns, or take the table that comes "
        "with the data set.",
    )
    _check_one(path, fitting)
    return _named(sheets[fitting[0]], path.name, headers[fitting[0]])


def few(names: Sequence[str]) -> str:
    """List names, the first ten of many.

    >>> few(["a", "b"]), few([str(n) for n in range(12)])
    ('a, b', '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more')
    """
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return ", ".join(names[:FEW]) + more


def read_rows(path: Path) -> list[list[str]]:
    """Read all rows that are not blank, each cell stripped; of a workbook, its only sheet.

    Raises:
        InputError: unreadable or empty.
    """
    sheets = _sheets(path)
    _check_one(path, list(sheets))
    return [cells for _, cells in next(iter(sheets.values()))]


def check_once(images: Iterable[Hashable], wheres: Iterable[str]) -> None:
    """Check that no image is in two rows.

    Args:
        images: what tells one image from another, by row.
        wheres: what an error calls the rows.

    Raises:
        InputError: it names both rows.
    """
    first: dict[Hashable, tuple[int, str]] = {}
    for row, (image, where) in enumerate(zip(images, wheres)):
        other, earlier = first.setdefault(image, (row, where))
        require(
            other == row,
            f"{where}: every image must be listed once, got the one of {earlier}. Remove one of "
            "the rows.",
        )


def _missing(header: Sequence[str], columns: Iterable[str | tuple[str, ...]]) -> list[str]:
    choices = [(column,) if isinstance(column, str) else column for column in columns]
    return [" or ".join(choice) for choice in choices if not set(header).intersection(choice)]


def _check_one(path: Path, sheets: list[str]) -> None:
    require(
        len(sheets) == 1,
        f"{path.name}: one sheet must hold the table, got {', '.join(sheets)}. Save the one that "
        "is meant as a file of its own.",
    )


def _named(rows: Rows, name: str, header: Sequence[str]) -> list[Line]:
    """Rows below the header as dictionaries."""
    twice = [column for column, count in Counter(header).items() if column and count > 1]
    require(
        not twice,
        f"{name}: every column must have a name of its own, got {', '.join(twice)} more than once. "
        "Rename or remove one.",
    )
    lines = []
    for place, cells in rows[1:]:
        beyond = [cell for cell in cells[len(header) :] if cell]
        require(
            len(cells) >= len(header) and not beyond,
            f"{name}, line {place}: must have {len(header)} cells as the header has, got "
            f"{len(cells)}. Put texts that hold the separator in quotation marks.",
        )
        line = Line(zip(header, cells))
        line.where = f"{name}, line {place}"
        lines.append(line)
    require(bool(lines), f"{name}: must have rows below its header, got no row.")
    return lines


def _header(cells: Sequence[str], capitals: bool) -> list[str]:
    """Names in lower case, but with `capitals` for those that only their capitals tell apart."""
    count = Counter(cell.lower() for cell in cells)
    exact = {name for name, times in Counter(cells).items() if times == 1 and capitals}
    return [c if count[c.lower()] > 1 and c in exact else c.lower() for c in cells]


def _sheets(path: Path) -> dict[str, Rows]:
    """Sheet to its rows that are not blank, with the number of their line; a CSV is one sheet."""
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
