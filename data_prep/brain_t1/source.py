"""The plan: scans in stacks, people, the split, the quality page."""

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import numpy.typing as npt

from common.checks import InputError, require
from common.data import seeded_order
from common.data.brain_t1 import MAPS, BrainPreparation, Grid, PreparedBrain, prepare_brain
from data_prep.brain_t1.page import thumbnail, write_page
from data_prep.brain_t1.people import People, read_people
from data_prep.brain_t1.scans import Scan, find_scans
from data_prep.machinery import (
    SEXES,
    Entry,
    Item,
    Origin,
    Output,
    Plan,
    canonical,
    check_shares,
    split_by_share,
)

__all__ = ["add_arguments", "external_sites", "plan"]

MOST_STACKS = 500  # a training keeps each open; up to so many heads have a stack each
DTYPE = "float16"


@dataclass(frozen=True)
class Block:
    """Heads whose images go into one stack.

    Args:
        key: of the stack ``images/<key>.npy`` and the pictures ``thumbnails/<key>_<row>.jpg``.
        scans: in the order of the rows.
        preparation: fields of a `BrainPreparation`.
        facts: columns of each scan.
    """

    key: str
    scans: tuple[Scan, ...]
    preparation: dict[str, Any]
    facts: tuple[Entry, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``brain_t1``."""
    parser.add_argument("--map", choices=MAPS, default="tissue", help="default: tissue")
    parser.add_argument(
        "--spacing", type=float, default=1.5, help="mm of a voxel: 1, 1.5 (default), 2 or 3"
    )
    parser.add_argument(
        "--stripped", action="store_true", help="refuse what is no brain on a black background"
    )
    parser.add_argument(
        "--participants", type=Path, help="CSV, TSV or XLSX; default: SOURCE/participants.tsv"
    )
    parser.add_argument("--validation", type=float, default=0.1, help="share of the patients")
    parser.add_argument("--test", type=float, default=0.2, help="share of the patients")
    parser.add_argument(
        "--external-sites", nargs="+", default=[], metavar="SITE", help="sites that are tested only"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Find the heads and lay out the stacks.

    Raises:
        InputError: no head, a wrong option, or a table that does not fit.
    """
    preparation = BrainPreparation(options.map, options.spacing, options.stripped or None)
    check_shares("brain_t1", options.validation, options.test)
    scans, walked = find_scans(options.source)
    require(
        bool(scans),
        f"{options.source}: source must hold T1-weighted heads, got none in {len(walked.files)} "
        "NIfTI and DICOM files. NIfTI files are told by their names, series by their headers.",
    )
    people = read_people(scans, options.source, options.participants)
    external = external_sites(options.external_sites, people)
    return Plan(
        source="T1-weighted heads (data_prep brain_t1)",
        licence="that of the source",
        arguments={
            "external_sites": sorted(options.external_sites),
            "seed": options.seed,
            "test": options.test,
            "validation": options.validation,
            **asdict(preparation),
        },
        items=_items(scans, people, preparation),
        convert=convert,
        split=partial(
            _split,
            seed=options.seed,
            validation=options.validation,
            test=options.test,
            external=external,
        ),
        skipped=walked.skipped,
        extra={
            **preparation.record(),
            "classes": {"site": people.sites, "label": people.diagnoses, "sex": SEXES},
        },
        notes=walked.notes + people.notes,
        summarise=_counted,
        finish=write_page,
        root=options.source,
    )


def convert(block: Block, output: Output) -> list[Entry]:
    """Prepare the heads of one stack; those that cannot be used are noted and left out."""
    preparation = BrainPreparation(**block.preparation)
    _one_thread()
    entries: list[Entry] = []

    def rows() -> Iterator[npt.NDArray[Any]]:
        for scan, facts in zip(block.scans, block.facts):
            try:
                brain: PreparedBrain = output.attempt(
                    scan.name, prepare_brain, scan.source, preparation
                )
            except InputError as error:
                output.skip(scan.name, str(error))
                continue
            row = len(entries)
            picture = output.write(f"thumbnails/{block.key}_{row:02d}.jpg", thumbnail(brain))
            entries.append(
                {
                    "image": f"images/{block.key}.npy",
                    "index": row,
                    "origin": scan.name,
                    **facts,
                    **brain.quality,
                    "flags": list(brain.flags),
                    "thumbnail": picture,
                }
            )
            yield brain.image if preparation.channels > 1 else brain.image[0]

    shape = Grid(preparation.spacing_mm).shape
    channels = (preparation.channels,) if preparation.channels > 1 else ()
    output.write_stack(f"images/{block.key}.npy", rows(), (*channels, *shape), DTYPE)
    return entries


def _one_thread() -> None:
    """Heads are prepared in processes side by side; more threads would only get in their way."""
    import SimpleITK as sitk
    import torch

    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # type: ignore[no-untyped-call]  # SWIG


def _items(scans: list[Scan], people: People, preparation: BrainPreparation) -> list[Item]:
    """One item per stack, in the order of the pseudonyms."""
    order = seeded_order((scan.patient for scan in scans), seed=0)
    pseudonyms = {patient: f"p{number:04d}" for number, patient in enumerate(order, start=1)}
    scans = sorted(scans, key=lambda scan: (pseudonyms[scan.patient], scan.name))
    size = ceil(len(scans) / MOST_STACKS)
    items = []
    for number, start in enumerate(range(0, len(scans), size)):
        members = tuple(scans[start : start + size])
        facts = tuple(
            {**people.facts[scan.patient], "patient": pseudonyms[scan.patient]} for scan in members
        )
        origins = tuple(
            Origin(scan.name, scan.files, f"{fact}", scan.patient)
            for scan, fact in zip(members, facts)
        )
        key = f"heads_{number:03d}"
        items.append(Item(key, Block(key, members, asdict(preparation), facts), origins))
    return items


def _split(
    entries: list[Entry], seed: int, validation: float, test: float, external: set[int]
) -> dict[str, list[Entry]]:
    """Draw by patient; patients of external sites are tested."""
    outside = {entry["patient"] for entry in entries if entry["site"] in external}
    inside = [entry for entry in entries if entry["patient"] not in outside]
    parts = split_by_share(inside, seed, validation, test)
    names = {"training": "train", "validation": "train", "test": "internal"}
    named = {
        part: [
            {**{key: value for key, value in entry.items() if key != "fold"}, "split": names[part]}
            for entry in members
        ]
        for part, members in parts.items()
    }
    tested = [entry for entry in entries if entry["patient"] in outside]
    named["test"] += [{**entry, "split": "external"} for entry in tested]
    return named


def _counted(parts: dict[str, list[Entry]]) -> dict[str, Any]:
    """How many heads are flagged."""
    entries = [entry for members in parts.values() for entry in members]
    flagged = sum(bool(entry["flags"]) for entry in entries)
    return {"quality": {"within bounds": len(entries) - flagged, "flagged": flagged}}


def external_sites(named: list[str], people: People) -> set[int]:
    """Return the numbers of the sites that are tested only.

    Raises:
        InputError: a name of none, or no other site is left.
    """
    names = [canonical(name) for name in named]
    unknown = [name for name in names if name not in people.sites]
    require(
        not unknown,
        f"brain_t1: --external-sites must be sites of the table, got {', '.join(unknown)}. Choose "
        f"of {', '.join(people.sites) or 'none: the table has no column site'}.",
    )
    external = {people.sites.index(name) for name in names}
    require(
        any(facts["site"] not in external for facts in people.facts.values()),
        "brain_t1: --external-sites must leave a site to train on, got all of the table.",
    )
    return external
