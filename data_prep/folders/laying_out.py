"""The work on the images of a table: pseudonyms, outputs, and the split."""

import sys
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from common.checks import require
from common.data import seeded_order
from common.data.image_store import ENDING
from common.data.prepare import Preparation
from data_prep.folders.people import People, find_people
from data_prep.folders.pictures import Picture, Shard, convert
from data_prep.machinery import (
    FOLDS,
    STORED,
    Entry,
    Item,
    LabelTable,
    Origin,
    Plan,
    Row,
    Walk,
    split_by_share,
    stem_of,
)

__all__ = ["Choices", "lay_out"]

ROWS = 256  # images of a stack, which an interrupted run may have to do again

Found = list[tuple[Row, Picture]]


@dataclass(frozen=True)
class Choices:
    """How images are stored and parted.

    Args:
        size: pixels, as `common.data.prepare.Preparation` has them.
        bits: of grey PNG.
        seed: of what is drawn.
        kind: "grey", "photo" or "fundus".
        stack: rows of stacks, not a PNG each; photographs always are.
        store: archives of PNG, not a file each.
        slices: of volumes, as `Picture` has them.
        validation: share of the training patients.
        test: share of the patients, where no split is given.
        overlap: as `find_people` has it.
        even: draw from each class by itself.
    """

    size: int
    bits: int = 8
    seed: int = 0
    kind: str = "grey"
    stack: bool = False
    store: bool = False
    slices: int | None = None
    validation: float = 0.1
    test: float = 0.3
    overlap: str = "refuse"
    even: bool = False

    @property
    def preparation(self) -> Preparation:
        """What is stored of an image."""
        return Preparation(self.kind, self.size, self.bits)


def lay_out(
    table: LabelTable,
    choices: Choices,
    *,
    root: Path,
    source: str,
    arguments: dict[str, Any],
    licence: str = "that of the source",
    walked: Walk | None = None,
) -> Plan:
    """Lay out the work on the images of a table.

    Args:
        table: the images, who belongs together, and what is known of them.
        choices: how they are stored and parted.
        root: folder that the paths of the table are relative to.
        source: one sentence, recorded.
        arguments: recorded beside size, bits and seed.
        licence: recorded.
        walked: what else lies in the source, where it was walked.

    Raises:
        InputError: a patient on both sides of a given split, or folders that are patients.
    """
    people = find_people(table.rows, root, choices.overlap, choices.kind != "photo")
    if table.folders:
        _check_folders(people)
    pictures = _pictures(people, root, choices)
    parts = {picture.entry["patient"]: row.part for row, picture in pictures if row.part}
    return Plan(
        source=source,
        licence=licence,
        arguments={key: getattr(choices, key) for key in ("bits", "seed", "size")} | arguments,
        items=_items(pictures, choices),
        convert=convert,
        split=partial(_split, choices=choices, given=parts),
        skipped=[*(walked.skipped if walked else []), *people.skipped],
        extra={
            "classes": {
                "label": table.classes,
                "site": table.sites,
                **({"bias": table.biases} if table.biases else {}),
            },
            **choices.preparation.record(),
        },
        merge_copies=True,
        root=root,
        notes=[*table.notes, *people.notes, *(walked.notes if walked else [])],
    )


def _pictures(people: People, root: Path, choices: Choices) -> Found:
    """Give every image its pseudonym and its place in the output."""
    pictures: Found = []
    count, preparation = sum(map(len, people.images.values())), choices.preparation
    for number, patient in enumerate(seeded_order(people.images, seed=0), start=1):
        name = f"p{number:04d}"
        for index, (row, entry) in enumerate(people.images[patient]):
            picture = Picture(
                path=str(root / row.path),
                name=row.path.as_posix(),
                stem=stem_of(name, index, len(pictures), count),
                entry={**entry, "patient": name},
                preparation=preparation,
                identity=patient,
                part=row.part,
                slices=choices.slices,
            )
            pictures.append((row, picture))
    return pictures


def _items(pictures: Found, choices: Choices) -> list[Item]:
    if choices.store:
        return _shards(pictures, STORED, ENDING)
    return _shards(pictures, ROWS, ".npy") if choices.stack else _files(pictures)


def _files(pictures: Found) -> list[Item]:
    return [
        Item(picture.stem.replace("/", "_"), picture, (_origin(row, picture),))
        for row, picture in pictures
    ]


def _shards(pictures: Found, size: int, ending: str) -> list[Item]:
    items = []
    for number, start in enumerate(range(0, len(pictures), size)):
        chosen = pictures[start : start + size]
        shard = Shard(f"images_{number:04d}{ending}", tuple(picture for _, picture in chosen))
        items.append(Item(f"images_{number:04d}", shard, tuple(_origin(*pair) for pair in chosen)))
    return items


def _origin(row: Row, picture: Picture) -> Origin:
    known = sorted((key, value) for key, value in picture.entry.items() if key != "patient")
    facts = sys.intern(f"{known} {row.part}")  # of many images the same
    return Origin(picture.name, (picture.path,), facts, picture.identity)


def _check_folders(people: People) -> None:
    """Folders that are classes must not hold the images of one DICOM patient each."""
    owners: dict[Path, set[str]] = defaultdict(set)
    images: dict[Path, int] = defaultdict(int)
    for patient, rows in people.images.items():
        for row, _ in rows:
            by_header = patient in people.sure and row.patient is None
            owners[row.path.parent].add(patient if by_header else "")
            images[row.path.parent] += 1
    require(
        len(set().union(*owners.values())) < len(owners)
        or not all(len(owners[f]) == 1 and images[f] > 1 for f in owners),
        f"folders must be classes, got {len(owners)} that hold one patient each (by the DICOM "
        "Patient ID). Give --labels CSV with image and label.",
    )


def _split(entries: list[Entry], choices: Choices, given: dict[str, str]) -> dict[str, list[Entry]]:
    """The given parts; what they leave open (all, validation, folds) is drawn by patient."""
    seed, validation = choices.seed, choices.validation
    if not given:
        free = [{k: v for k, v in entry.items() if k != "fold"} for entry in entries]
        return split_by_share(free, seed, validation, choices.test, choices.even)
    order = seeded_order(given, seed)
    testing = [patient for patient in order if given[patient] == "test"]
    folds = {patient: index % FOLDS for index, patient in enumerate(testing)}
    place = dict(given)
    if "validation" not in given.values():
        training = [entry for entry in entries if given[entry["patient"]] == "training"]
        drawn = split_by_share(training, seed, validation, 0.0, choices.even)["validation"]
        place |= {entry["patient"]: "validation" for entry in drawn}
    parts: dict[str, list[Entry]] = {"training": [], "validation": [], "test": []}
    for entry in entries:
        part = place[entry["patient"]]
        kept = {k: v for k, v in entry.items() if k != "fold" or part == "test"}
        if part == "test":
            kept.setdefault("fold", folds[entry["patient"]])
        parts[part].append(kept)
    return parts
