"""The plan of `data_prep.fundus`, and how a photograph becomes a square picture."""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from common.checks import InputError, require
from common.data import seeded_order
from common.data.fundus import MARK
from common.data.image_store import ENDING
from common.data.manifest import PARTS
from common.data.prepare import Preparation
from data_prep.fundus.files import Eye, Pictures, Place
from data_prep.fundus.layouts import LAYOUTS, find_photographs
from data_prep.fundus.quality import SIDE, quality
from data_prep.machinery import (
    STORED,
    Entry,
    Item,
    Origin,
    Output,
    Plan,
    add_label_arguments,
    add_store_argument,
    encode_png,
    label_arguments,
    set_aside,
    split_as_told,
    split_by_share,
    stem_of,
)

__all__ = ["add_arguments", "plan"]

REFERABLE = ["not referable (grade 0 or 1)", "referable (grade 2 or above)"]
VALIDATION, TEST = 0.15, 0.3  # of the patients; RETFound's benchmark has 14 and 30 percent


@dataclass(frozen=True, slots=True)
class Photograph:
    """One photograph to convert: where it is, where it goes, what is known of it."""

    place: Place
    stem: str
    entry: Entry
    size: int


@dataclass(frozen=True, slots=True)
class Shard:
    """Photographs that become files of one archive."""

    store: str
    photographs: tuple[tuple[str, Photograph], ...]


Found = list[tuple[Eye, Photograph]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``fundus``."""
    parser.add_argument("--layout", choices=[*LAYOUTS, "folders"], default="folders")
    add_label_arguments(parser)
    parser.add_argument("--label", choices=("grade", "referable"), help="column of the label")
    parser.add_argument("--size", type=int, default=SIDE, help="pixels of a side")
    add_store_argument(parser)
    parser.add_argument("--split", choices=("published", "drawn"), default="published")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn")


def plan(options: argparse.Namespace) -> Plan:
    """Find the photographs, read who belongs together, and lay out the work.

    Raises:
        InputError: no folder, no pictures, not the layout, a label that it does not have, or a
            published split that parts the eyes of a patient.
    """
    require(options.size >= 32, f"fundus: --size must be >= 32, got {options.size}.")
    pictures = Pictures(options.source)
    photographs = find_photographs(pictures, options.layout, options.labels, options.negative)
    named = {eye.place.path for eye in photographs.eyes if eye.place.member is None}
    pictures.walked.leave_out(named, "that no table names, or left out")
    published = options.split == "published" and any(eye.part for eye in photographs.eyes)
    if published:
        _check_parts(photographs.eyes)
    found = _photographs(photographs.eyes, published, options)
    classes = REFERABLE if options.label == "referable" else photographs.classes
    return Plan(
        source=f"fundus photographs, {options.layout} (data_prep fundus)",
        licence="that of the source",
        arguments={
            key: getattr(options, key) for key in ("label", "layout", "seed", "size", "split")
        }
        | label_arguments(options)
        | ({"store": True} if options.store else {}),
        items=_shards(found) if options.store else _files(found),
        convert=convert,
        split=partial(_split, seed=options.seed),
        skipped=[*pictures.walked.skipped, *photographs.skipped],
        extra={
            "classes": {
                "label": classes,
                **({"site": photographs.sites} if photographs.sites else {}),
            },
            **Preparation("fundus", options.size, 8).record(),
        },
        merge_copies=not published,
        summarise=_summary,
        root=options.source,
        notes=[*photographs.notes, *pictures.walked.notes],
    )


def convert(payload: Photograph | Shard, output: Output) -> list[Entry]:
    """Read photographs, measure them and write them as PNG."""
    if isinstance(payload, Shard):
        return _archived(payload, output)
    content, measured = _read(payload)
    path = output.write(f"images/{payload.stem}.png", content)
    return [{**payload.entry, **measured, "image": path}]


def _read(photograph: Photograph) -> tuple[bytes, Entry]:
    """A photograph as PNG, and what is measured of it."""
    pixels, field_found = photograph.place.read(photograph.size)
    measured = pixels if photograph.size == SIDE else photograph.place.read(SIDE)[0]
    return encode_png(pixels, MARK), quality(measured, field_found)


def _archived(shard: Shard, output: Output) -> list[Entry]:
    entries: list[Entry] = []

    def images() -> Iterator[tuple[str, bytes]]:
        for name, photograph in shard.photographs:
            try:
                content, measured = output.attempt(name, _read, photograph)
            except InputError as error:
                output.skip(name, str(error))
                continue
            where = {"image": shard.store, "origin": name, "copy": sha256(content).hexdigest()}
            entries.append({**photograph.entry, **measured, **where})
            yield f"{photograph.stem}.png", content

    blocks = output.write_images(shard.store, images())
    return [{**entry, "index": block} for entry, block in zip(entries, blocks)]


def _files(found: Found) -> list[Item]:
    return [
        Item(photograph.stem.replace("/", "_"), photograph, (_origin(eye),))
        for eye, photograph in found
    ]


def _shards(found: Found) -> list[Item]:
    items = []
    for number, start in enumerate(range(0, len(found), STORED)):
        chosen = found[start : start + STORED]
        origins = tuple(_origin(eye) for eye, _ in chosen)
        photographs = zip((origin.name for origin in origins), (one for _, one in chosen))
        key = f"images_{number:04d}"
        items.append(Item(key, Shard(f"{key}{ENDING}", tuple(photographs)), origins))
    return items


def _photographs(eyes: list[Eye], published: bool, options: argparse.Namespace) -> Found:
    """Give every photograph its pseudonym, its label and its place in the output."""
    by_patient: dict[str, list[Eye]] = defaultdict(list)
    for eye in sorted(eyes, key=lambda eye: eye.place.name):
        by_patient[eye.patient].append(eye)
    photographs: Found = []
    for number, patient in enumerate(seeded_order(by_patient, seed=0), start=1):
        for index, eye in enumerate(by_patient[patient]):
            column = options.label or ("grade" if "grade" in eye.facts else "label")
            require(
                column in eye.facts,
                f"fundus: --label must be left out for --layout {options.layout}, got "
                f"{options.label}: it has no grades.",
            )
            entry = {
                **eye.facts,
                "label": eye.facts[column],
                "patient": f"p{number:04d}",
                "dataset": options.layout,
                **({"eye": eye.eye} if eye.eye else {}),
                **({"part": eye.part} if published else {}),
            }
            stem = stem_of(f"p{number:04d}", index, len(photographs), len(eyes))
            photographs.append((eye, Photograph(eye.place, stem, entry, options.size)))
    return photographs


def _origin(eye: Eye) -> Origin:
    facts = f"{eye.place.stamp} {eye.eye} {eye.part} {sorted(eye.facts.items())}"
    return Origin(eye.place.whole_name, (eye.place.path,), facts, eye.patient)


def _check_parts(eyes: list[Eye]) -> None:
    """No patient in two published parts; told before the work."""
    parts: dict[str, set[str | None]] = defaultdict(set)
    for eye in eyes:
        parts[eye.patient].add(eye.part)
    parted = sum(len(of_patient) > 1 for of_patient in parts.values())
    require(
        not parted,
        f"fundus: the eyes of a patient must be in one part of the published split, got {parted} "
        "patients with eyes in several. Set --split drawn.",
    )


def _split(entries: list[Entry], seed: int) -> dict[str, list[Entry]]:
    """The published parts, and what they leave open drawn by patient."""
    if "part" not in entries[0]:
        drawn = split_by_share(entries, seed, VALIDATION, TEST)
        return {
            part: [{key: v for key, v in entry.items() if key != "fold"} for entry in drawn[part]]
            for part in PARTS
        }
    parts = split_as_told(entries)
    if parts["validation"]:
        return parts
    patients = {entry["patient"] for entry in parts["training"]}
    return set_aside(parts, round(VALIDATION * len(patients)), seed)


def _summary(parts: dict[str, list[Entry]]) -> dict[str, Any]:
    """How many photographs are good, and how many have each flag."""
    flags = Counter(
        flag for part in parts.values() for e in part for flag in e["quality"].split(", ")
    )
    return {"quality": dict(sorted(flags.items()))}
