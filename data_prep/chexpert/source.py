"""The plan of `data_prep.chexpert`, and how its tables are read."""

import argparse
import re
from pathlib import Path, PurePosixPath
from typing import Any

from common.checks import require
from common.files import below, is_file
from data_prep.folders import Choices, lay_out
from data_prep.machinery import (
    LabelTable,
    Line,
    Plan,
    Row,
    add_store_argument,
    check_once,
    check_shares,
    is_missing,
    number,
    read_age,
)
from data_prep.machinery import read_table as read_lines

__all__ = ["PATHOLOGIES", "add_arguments", "plan", "read_table"]

PATHOLOGIES = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
HEALTHY = "No Finding"
TABLES = {"train.csv": "training", "valid.csv": "test"}
SEXES = {"Male": "M", "Female": "F"}
LICENCE = "Stanford University Dataset Research Use Agreement: no redistribution, research only"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``chexpert``."""
    parser.add_argument("--size", type=int, default=256, help="longer side at most; 0: original")
    add_store_argument(parser)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--validation", type=float, default=0.02, help="share of the patients")
    parser.add_argument("--seed", type=int, default=0, help="of the validation part")


def plan(options: argparse.Namespace) -> Plan:
    """Read both tables and lay out the work.

    Raises:
        InputError: no folder, a missing table or column, or a value out of range.
    """
    require(
        options.size == 0 or options.size >= 32,
        f"chexpert: --size must be 0 or >= 32, got {options.size}.",
    )
    check_shares("chexpert", options.validation)
    require(
        options.source.is_dir(),
        f"{options.source}: source must be a folder, got none. Extract the archive first.",
    )
    rows = [
        row
        for name, part in TABLES.items()
        for row in read_table(options.source / name, options.source, part)
    ]
    return lay_out(
        LabelTable(rows, ["absent", "present"]),
        Choices(
            options.size,
            options.bits,
            options.seed,
            store=options.store,
            validation=options.validation,
        ),
        root=options.source,
        source="CheXpert (data_prep chexpert)",
        arguments={
            "validation": options.validation,
            **({"store": True} if options.store else {}),
        },
        licence=LICENCE,
    )


def read_table(table: Path, source: Path, part: str) -> list[Row]:
    """Read one of the tables.

    Args:
        table: the CSV.
        source: folder that holds it; its name need not be the one the CSV begins its paths with.
        part: "training" or "test", of all its rows.

    Raises:
        InputError: unreadable, a missing column, a missing file, or an unknown value; one line
            that names the row.
    """
    require(
        table.is_file(),
        f"{table.name}: must be a file, got none. Give the folder that holds train.csv and "
        "valid.csv.",
    )
    columns = ("Path", HEALTHY, *PATHOLOGIES)
    lines = read_lines(table, *(column.lower() for column in columns))
    rows = [_row(line, source, part) for line in lines]
    check_once((row.path for row in rows), (line.where for line in lines))
    return rows


def _row(line: Line, source: Path, part: str) -> Row:
    where = line.where
    match = re.search(r"(?:^|/)((?:train|valid|test)/.*?(patient\d+)/.+)$", line["path"])
    require(
        match is not None,
        f"{where}: Path must be like train/patient00001/study1/view1_frontal.jpg, got another.",
    )
    path, patient = Path(PurePosixPath(match[1])), match[2]  # type: ignore[index]
    require(
        is_file(below(source, path.as_posix(), f"{where}: Path")),
        f"{where}: Path must be a file below the source folder, got one that is missing. "
        "Extract all of the archive.",
    )
    entry: dict[str, Any] = _labels(line, where)
    if line.get("sex", "") in SEXES:
        entry["sex"] = SEXES[line["sex"]]
    age = read_age(line.get("age", ""), where)
    if age is not None:
        entry["age"] = int(age)
    if line.get("frontal/lateral"):
        lateral = line["frontal/lateral"] == "Lateral"
        entry["view"] = "lateral" if lateral else line.get("ap/pa") or "frontal"
    return Row(path, patient, entry, part)


def _labels(line: dict[str, str], where: str) -> dict[str, int]:
    """The columns of the pathologies, and ``label``; -1 where it does not count."""
    healthy = _value(line, HEALTHY, where) == 1
    columns = {}
    for name in PATHOLOGIES:
        value = _value(line, name, where)
        columns[name.lower().replace(" ", "_")] = (0 if healthy else -1) if value is None else value
    values = set(columns.values())
    label = 1 if 1 in values else 0 if values == {0} else -1
    return {"label": label, **columns}


def _value(line: dict[str, str], name: str, where: str) -> int | None:
    text = line[name.lower()]
    value = number(text)
    require(
        value in (1, 0, -1) or is_missing(text),
        f"{where}: {name} must be 1.0, 0.0, -1.0 or empty, got something else. Correct the row.",
    )
    return None if value is None else int(value)
