"""The plan of `data_prep.table`: one stack of rows for each part."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data import seeded_order
from common.data.feature_table import Features, feature_values
from common.data.tables import TABLES
from data_prep.machinery import Entry, Item, Origin, Output, Plan, check_shares, read_table
from data_prep.table.features import choose_features
from data_prep.table.people import Columns, Person, Table, read_people

__all__ = ["add_arguments", "plan"]

ROLES = ("age", "site", "sex", "label")
SPLITS = ("training", "validation", "internal", "external")
LARGEST_SHARE = 0.9


@dataclass(frozen=True)
class Block:
    """The people of one part, who become the rows of a stack."""

    stack: str
    people: tuple[Person, ...]
    features: Features
    pseudonyms: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``table``."""
    for name in ROLES:
        parser.add_argument(f"--{name}", metavar="COLUMN", help=f"column; default {name}, if there")
    parser.add_argument("--id", nargs="+", metavar="COLUMN", help="what tells people apart")
    parser.add_argument("--negative", metavar="NAME", help="the class that is to be number 0")
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", default=[], help='features; "*" fits any letters'
    )
    parser.add_argument(
        "--external-sites", nargs="+", metavar="SITE", default=[], help="tested on only"
    )
    parser.add_argument("--missing", type=float, default=0.2, help="most of a column, a share")
    parser.add_argument("--validation", type=float, default=0.1, help="share of the people")
    parser.add_argument("--test", type=float, default=0.2, help="share of the people")
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Read the table, choose features and lay out the stacks.

    Raises:
        InputError: no table, a column that is not there, or a value that is none.
    """
    source: Path = options.source
    _check(options)
    columns = _columns(options)
    table = read_people(
        source,
        columns,
        negative=options.negative,
        external=options.external_sites,
        shares=(options.validation, options.test),
        seed=options.seed,
    )
    chosen = choose_features(table, options.columns, options.missing, source.name)
    return Plan(
        source="a table of features (data_prep table)",
        licence="that of the source",
        arguments={
            **{name: getattr(options, name) for name in ("missing", "seed", "test", "validation")},
            **{name: getattr(options, name) for name in ("columns", "external_sites", "negative")},
            "roles": [*columns.person, *(getattr(columns, name) for name in ROLES)],
        },
        items=_items(source, table, chosen.features),
        convert=convert,
        split=_split,
        skipped=table.skipped,
        extra={"classes": table.classes, **chosen.features.record()},
        notes=[*chosen.notes, *table.notes],
        root=source.parent,
    )


def convert(block: Block, output: Output) -> list[Entry]:
    """Write one stack; rows that cannot be used are noted and left out."""
    entries: list[Entry] = []
    features = block.features

    def rows() -> Iterator[npt.NDArray[np.float32]]:
        for person in block.people:
            name = person.line.where
            try:
                values = output.attempt(
                    name, feature_values, person.line, features.names, features.fill
                )
            except InputError as error:
                output.skip(name, str(error))
                continue
            where = {"image": block.stack, "index": len(entries), "origin": name}
            who = {"patient": block.pseudonyms[person.identity], "split": person.split}
            entries.append({**person.entry, **where, **who})
            yield values

    output.write_stack(block.stack, rows(), (len(features.names),), "float32")
    return entries


def _check(options: argparse.Namespace) -> None:
    source: Path = options.source
    require(
        source.suffix.lower() in TABLES and source.is_file(),
        f"{source}: source must be a table, .csv, .tsv or .xlsx, got none. Check the path.",
    )
    require(
        0 <= options.missing <= LARGEST_SHARE,
        f"table: --missing must be a share in 0..{LARGEST_SHARE}, got {options.missing}.",
    )
    check_shares("table", options.validation, options.test)


def _columns(options: argparse.Namespace) -> Columns:
    """The columns that were named, and those of the default names where the table has them."""
    person = tuple(name.lower() for name in options.id or ())
    given = {name: (getattr(options, name) or "").lower() for name in ROLES}
    lines = read_table(options.source, *person, *filter(None, given.values()), capitals=True)
    header = {name.lower() for name in lines[0]}
    names = {name: given[name] or (name if name in header else "") for name in ROLES}
    require(
        options.negative is None or bool(names["label"]),
        "table: --negative must be left out without classes, got one. Name their column: --label.",
    )
    require(
        not options.external_sites or bool(names["site"]),
        "table: --external-sites must be of a column of sites, got none. Name it: --site.",
    )
    return Columns(**names, person=person)


def _items(source: Path, table: Table, features: Features) -> list[Item]:
    """One item for each part that has people."""
    order = seeded_order((person.identity for person in table.people), seed=0)
    pseudonyms = {who: f"p{number:04d}" for number, who in enumerate(order, start=1)}
    items = []
    for split in SPLITS:
        people = tuple(person for person in table.people if person.split == split)
        origins = tuple(
            Origin(p.line.where, (source,), f"{p.entry} {features}", p.identity) for p in people
        )
        block = Block(f"{split}.npy", people, features, pseudonyms)
        items += [Item(split, block, origins)] if people else []
    return items


def _split(entries: list[Entry]) -> dict[str, list[Entry]]:
    """The parts; internal and external people are the test."""
    parts: dict[str, list[Entry]] = {"training": [], "validation": [], "test": []}
    words: dict[Any, str] = {"training": "training", "validation": "validation"}
    for entry in entries:
        parts[words.get(entry["split"], "test")].append(entry)
    return parts
