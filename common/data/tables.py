"""Every table a user or a data set brings, by one set of rules: CSV, TSV and XLSX.

How a file becomes rows of texts is in `common.data.table_file`. Of a workbook the one sheet is read
that has the columns asked for (an error if several have); every row is as long as the header. Cells
are texts, so that ids keep their zeros; `number` reads a number, with a decimal comma too, and
`is_missing` knows the words for "no value".
"""

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from common.checks import require
from common.data.table_file import Rows, read_sheets

__all__ = [
    "TABLES",
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

TABLES = (".csv", ".tsv", ".xlsx")
FEW = 10  # names that an error lists
NUMBER = re.compile(r"[+-]? ?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
WORDS = (
    "na|n/a|n.a.|n.a|#n/a|<na>|#na|nan|-nan|none|null|nil|missing|unknown|unlabelled|unlabeled|"
    "undefined|unspecified|not available|not labelled|not labeled|no value|?|.|-|--|–|"
)
MISSING = frozenset(WORDS.split("|"))


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
    sheets = read_sheets(path)
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
    sheets = read_sheets(path)
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
