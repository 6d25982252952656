"""The rows of a table: who, how old, where, and in which part."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.checks import require
from data_prep.machinery import (
    SEXES,
    Line,
    age_note,
    canonical,
    name_classes,
    number_names,
    read_age,
    read_sex,
    read_table,
    says_nothing,
    split_by_share,
)

__all__ = ["Columns", "Person", "Table", "read_people"]


@dataclass(frozen=True)
class Columns:
    """Names of the columns in lower case; "" for none.

    Args:
        age: in years.
        site: any text.
        sex: f, female, m or male; others are unknown.
        label: a class.
        person: one or several that tell people apart together.
    """

    age: str
    site: str
    sex: str
    label: str
    person: tuple[str, ...]

    @property
    def all(self) -> list[str]:
        """Every one that is there."""
        return [name for name in (*self.person, self.age, self.site, self.sex, self.label) if name]


@dataclass(frozen=True)
class Person:
    """One row.

    Args:
        line: the row.
        identity: of the person; never written.
        entry: columns of the manifest.
        split: "training", "validation", "internal" or "external".
    """

    line: Line
    identity: str
    entry: dict[str, Any]
    split: str


@dataclass(frozen=True)
class Table:
    """All rows that can be used, and what is said of the others.

    Attributes:
        people: in the order of the table.
        skipped: rows that are left out, with the reason.
        classes: names of the values of "site" and "label".
        notes: lines for the user.
        columns: where things are.
        header: all columns.
    """

    people: list[Person]
    skipped: list[dict[str, str]]
    classes: dict[str, list[str]]
    notes: list[str]
    columns: Columns
    header: list[str]


def read_people(
    path: Path,
    columns: Columns,
    *,
    negative: str | None,
    external: Sequence[str],
    shares: tuple[float, float],
    seed: int,
) -> Table:
    """Read who is in a table.

    Args:
        path: CSV, TSV or XLSX.
        columns: where things are; those of the default names may be missing.
        negative: the class that is to be 0.
        external: sites that are tested on only.
        shares: of the other people, for validation and test.
        seed: of what is drawn.

    Raises:
        InputError: unreadable, an age or a site that is none, or a person at external sites and
            others.
    """
    lines = read_table(path, *columns.all, capitals=True)
    unknown: list[str] = []
    labels = name_classes(
        [line[columns.label] for line in lines] if columns.label else [],
        f"{path.name}: {columns.label}",
        negative,
    )
    skipped, used = [], []
    for line in lines:
        entry = _entry(line, columns, labels.numbers, unknown)
        if columns.age and "age" not in entry:
            skipped.append({"file": line.where, "reason": f"{line.where}: has no age in years"})
        else:
            used.append((line, _identity(line, columns), entry))
    require(bool(used), f"{path.name}: rows must have an age in 0..120 years, got none.")
    outside = _external(path.name, [entry for *_, entry in used], external)
    sites = number_names(entry["site"] for *_, entry in used if "site" in entry)
    splits = _splits(path.name, used, outside, shares, seed)
    people = [
        Person(line, who, {**entry, "site": sites.get(entry.get("site", ""), -1)}, splits[who])
        for line, who, entry in used
    ]
    classes = {"site": list(sites), "label": labels.names}
    notes = [*labels.notes, *age_note(unknown, path.name), *_notes(people, columns)]
    return Table(people, skipped, classes, notes, columns, list(lines[0]))


def _entry(
    line: Line, columns: Columns, labels: dict[str, int], unknown: list[str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"label": labels[line[columns.label]] if columns.label else -1}
    age = read_age(line[columns.age], line.where, unknown) if columns.age else None
    entry |= {} if age is None else {"age": age}
    site = line[columns.site] if columns.site else ""
    entry |= {} if says_nothing(site) else {"site": canonical(site)}
    sex = read_sex(line[columns.sex]) if columns.sex else -1
    return entry | ({} if sex < 0 else {"sex": SEXES[sex][0].upper()})


def _identity(line: Line, columns: Columns) -> str:
    parts = [line[name] for name in columns.person]
    require(
        not any(map(says_nothing, parts)),
        f"{line.where}: {' and '.join(columns.person)} must say who it is, got nothing. Fill it.",
    )
    return " ".join(parts) or line.where


def _external(name: str, entries: list[dict[str, Any]], external: Sequence[str]) -> set[str]:
    known = {entry["site"] for entry in entries if "site" in entry}
    chosen = {canonical(site) for site in external}
    strange = sorted(chosen - known)
    require(
        not strange,
        f"--external-sites: must be sites of {name} ({', '.join(sorted(known)) or 'none'}), got "
        f"{', '.join(strange)}.",
    )
    require(
        not chosen or bool(known - chosen),
        f"--external-sites: must leave a site to train on, got all of {name}.",
    )
    return chosen


def _splits(
    name: str,
    used: Sequence[tuple[Line, str, dict[str, Any]]],
    outside: set[str],
    shares: tuple[float, float],
    seed: int,
) -> dict[str, str]:
    """The part of each person; drawn site by site, a person of several sites by the first."""
    places: dict[str, set[str]] = {}
    for _, who, entry in used:
        places.setdefault(who, set()).add(entry.get("site", ""))
    mixed = sum(
        bool(own_codes & outside) and bool(own_codes - outside) for own_codes in places.values()
    )
    require(
        not mixed,
        f"{name}: a person must be at external sites or at others, got {mixed} at both. If ids "
        "start anew at each site, join both: --id SITE ID.",
    )
    codes = number_names(min(own_codes) for own_codes in places.values())
    drawn = split_by_share(
        [
            {"patient": who, "label": codes[min(own_codes)]}
            for who, own_codes in places.items()
            if not own_codes & outside
        ],
        seed,
        *shares,
        even=True,
    )
    words = {"training": "training", "validation": "validation", "test": "internal"}
    splits = {entry["patient"]: words[part] for part in words for entry in drawn[part]}
    require(
        "training" in splits.values(),
        f"{name}: must leave people to train on, got none of {len(places)}. Lower --test.",
    )
    return {who: splits.get(who, "external") for who in places}


def _notes(people: list[Person], columns: Columns) -> list[str]:
    notes = []
    if not columns.person:
        notes.append("each row counts as a person of its own: --id names the column that tells")
    several = sum(n > 1 for n in Counter(person.identity for person in people).values())
    if several:
        notes.append(f"{several} people have several rows, which stay in one part")
    if "external" not in {person.split for person in people}:
        notes.append(
            "no site is external: a challenge's evaluation needs one, --external-sites NAME"
        )
    return notes
