"""Who the heads are of: age, sex, site and diagnosis from a table, else from the headers."""

from dataclasses import dataclass
from pathlib import Path

from common.checks import require
from data_prep.brain_t1.scans import Scan
from data_prep.machinery import (
    CONTROL,
    Entry,
    Line,
    age_note,
    canonical,
    number_names,
    read_age,
    read_diagnosis,
    read_sex,
    read_table,
    says_nothing,
)

__all__ = ["People", "read_people"]

IDS = ("participant_id", "participant", "subject", "patient", "id")


@dataclass(frozen=True)
class People:
    """What is known of the patients.

    Args:
        facts: of each patient of a scan: ``age``, ``sex``, ``site`` and ``label``; -1 or None where
            nothing is known.
        sites: names of the sites.
        diagnoses: names of the labels, the healthy first.
        notes: lines for the user.
    """

    facts: dict[str, Entry]
    sites: list[str]
    diagnoses: list[str]
    notes: list[str]


def read_people(scans: list[Scan], source: Path, given: Path | None) -> People:
    """Look the patients up.

    Args:
        scans: of the source.
        source: folder in which ``participants.tsv`` may lie.
        given: ``--participants``.

    Raises:
        InputError: a table that cannot be read, or that knows none of the patients.
    """
    beside = source / "participants.tsv"
    table = given or (beside if beside.is_file() else None)
    lines = {} if table is None else _lines(table)
    known = {scan.patient: _found(scan, lines) for scan in scans}
    require(
        table is None or any(known.values()),
        f"{table}: participant_id must name patients of the source, got none of {len(known)}. "
        "Names are those of sub-<id>, of files without suffix, or Patient ID of DICOM.",
    )
    places = {p: _text(line, "site") for p, line in known.items()}
    illnesses = {p: _diagnosis(line) for p, line in known.items()}
    sites = number_names(name for name in places.values() if name)
    ill = sorted({name for name in illnesses.values() if name} - {CONTROL})
    diagnoses = [CONTROL, *ill] if any(illnesses.values()) else []
    unknown: list[str] = []
    facts = {
        scan.patient: {
            "age": _age(scan, known[scan.patient], unknown),
            "sex": _sex(scan, known[scan.patient]),
            "site": sites[places[scan.patient]] if places[scan.patient] else -1,
            "label": diagnoses.index(illnesses[scan.patient]) if illnesses[scan.patient] else -1,
        }
        for scan in scans
    }
    missing = sum(one["age"] is None for one in facts.values())
    notes = age_note(unknown, table.name if table else "")
    if missing:
        notes.append(
            f"{missing} of {len(facts)} patients have no age: a kernel on age needs every one"
        )
    return People(facts, list(sites), diagnoses, notes)


def _lines(table: Path) -> dict[str, Line]:
    """Rows by every spelling of their id."""
    lines: dict[str, Line] = {}
    for line in read_table(table, IDS):
        name = next(line[key] for key in IDS if line.get(key) is not None)
        require(
            name.removeprefix("sub-") not in lines,
            f"{line.where}: every participant must be listed once, got one twice. Remove a row.",
        )
        lines[name.removeprefix("sub-")] = line
    return lines


def _found(scan: Scan, lines: dict[str, Line]) -> Line | None:
    return lines.get(scan.patient) or lines.get(scan.patient.split("_")[0])


def _text(line: Line | None, column: str) -> str:
    text = "" if line is None else line.get(column, "")
    return "" if says_nothing(text) else canonical(text)


def _diagnosis(line: Line | None) -> str:
    return "" if line is None else read_diagnosis(line.get("diagnosis", ""))


def _age(scan: Scan, line: Line | None, unknown: list[str]) -> float | None:
    stated = None if line is None else read_age(line.get("age", ""), line.where, unknown)
    return scan.age if stated is None else stated


def _sex(scan: Scan, line: Line | None) -> int:
    return read_sex(("" if line is None else line.get("sex", "")) or scan.sex)
