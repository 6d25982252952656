"""Which columns of a table are features, and what stands for their missing values."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.feature_table import Features
from common.data.tables import few, is_missing, number
from data_prep.table.people import Person, Table

__all__ = ["Chosen", "choose_features"]

ALIKE = 0.999  # a column that correlates more with the age is taken for the age itself
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """The features, and lines for the user."""

    features: Features
    notes: list[str]


def choose_features(table: Table, wanted: Sequence[str], most_missing: float, name: str) -> Chosen:
    """Choose the columns that a network reads.

    Args:
        table: who is in it.
        wanted: names or patterns; none for all columns of numbers.
        most_missing: share of the training values of a column.
        name: of the table.

    Raises:
        InputError: a name that fits no column, a named column that is no number or mostly missing,
            or no feature.
    """
    roles = set(table.columns.all)
    free = [column for column in table.header if column and column not in roles]
    columns = _named(free, wanted, name) if wanted else free
    rows = [person for person in table.people if person.split == "training"]
    dropped: dict[str, list[str]] = {}
    kept, fill = [], []
    for column in columns:
        reason, where = _unusable(column, rows, table.people, most_missing)
        if not reason and not wanted:
            reason = _tells(column, rows)
        require(
            not (wanted and reason and reason != CONSTANT),
            f"{where or name}: {column} must be a feature of numbers, got one that {reason}. "
            "Correct it, or leave it out of --columns.",
        )
        if reason:
            dropped.setdefault(reason, []).append(column)
            continue
        kept.append(column)
        fill.append(float(np.nanmedian(_values(column, rows))))
    notes = [f"left out, {why}: {len(c)} columns ({few(c)})" for why, c in dropped.items()]
    require(
        bool(kept), f"{name}: must have columns of numbers that are features, got none. {notes}"
    )
    known = [column for column in table.header if column and column not in kept]
    features = Features(kept, fill, known, table.columns.age)
    return Chosen(features, [f"{len(kept)} features: {few(kept)}", *notes])


CONSTANT = "is the same in all training rows"
TEXT = "holds something else than numbers"
MISSING = "is missing in too many training rows"


def _named(free: Sequence[str], wanted: Sequence[str], name: str) -> list[str]:
    """The columns that names or patterns fit, in the order of the table."""
    patterns = [pattern.strip().lower() for pattern in wanted]
    hits = {p: [c for c in free if c.lower() == p or fnmatchcase(c.lower(), p)] for p in patterns}
    nothing = [pattern for pattern, columns in hits.items() if not columns]
    require(
        not nothing,
        f"--columns: must name columns of {name} that have no other meaning, got {few(nothing)}.",
    )
    chosen = {column for columns in hits.values() for column in columns}
    return [column for column in free if column in chosen]


def _unusable(
    column: str, rows: Sequence[Person], people: Sequence[Person], most_missing: float
) -> tuple[str, str]:
    """Why a column is no feature, and the row that shows it; "" where it is one."""
    for person in people:
        cell = person.line[column]
        if not is_missing(cell) and number(cell) is None:
            return TEXT, person.line.where
    values = _values(column, rows)
    there = values[np.isfinite(values)]
    if len(there) < max(1.0, (1 - most_missing) * len(values)):
        return MISSING, ""
    return (CONSTANT, "") if there.min() == there.max() else ("", "")


def _tells(column: str, rows: Sequence[Person]) -> str:
    """Whether a column is the site or the age under another name."""
    values = _values(column, rows)
    ages = np.array([person.entry.get("age", np.nan) for person in rows], float)
    both = np.isfinite(values) & np.isfinite(ages)
    varied = both.sum() > 2 and values[both].std() > 0 and ages[both].std() > 0
    if varied and abs(np.corrcoef(values[both], ages[both])[0, 1]) > ALIKE:
        return "is the age under another name"
    pairs = {(person.entry["site"], value) for person, value in zip(rows, values)}
    sites = {site for site, _ in pairs}
    alone = len(pairs) == len(sites) == len({value for _, value in pairs}) > 1
    return "is the site under another name" if alone else ""


def _values(column: str, rows: Sequence[Person]) -> Floats:
    numbers = (number(person.line[column]) for person in rows)
    return np.array([np.nan if value is None else value for value in numbers], float)
