"""The plan of `data_prep.photos`, and how photographs become stacks."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.manifest import PARTS
from common.data.photo import read_photo
from common.data.prepare import Preparation
from data_prep.machinery import (
    Entry,
    Item,
    Origin,
    Output,
    Plan,
    Walk,
    set_aside,
    split_as_told,
    walk,
)
from data_prep.photos import cifar
from data_prep.photos.layouts import Photo, find_photos, is_photo, with_biases

__all__ = ["KINDS", "add_arguments", "plan"]

KINDS = ("cifar10", "cifar100", "imagenet9", "corrupted_cifar10", "bffhq")
SMALL = ("cifar10", "cifar100", "corrupted_cifar10")
SIZE = 224
ROWS = 1024  # images of a stack, which an interrupted run may have to do again
SHARE = 0.1

Work = tuple[list[Item], dict[str, list[str]], list[str]]  # items, class names, notes


@dataclass(frozen=True)
class Shard:
    """Some photographs of one part, which go into one stack.

    Args:
        stack: relative path of the output.
        photos: in the order of the rows.
        size: pixels of a side.
        first: number of the first photograph, for the pseudonyms.
    """

    stack: str
    photos: tuple[Photo, ...]
    size: int
    first: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``photos``."""
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--ratio", help="corrupted_cifar10, bffhq: the folder, such as 0.5pct")
    parser.add_argument("--bias", type=Path, help="CSV with the columns file and bias")
    parser.add_argument("--size", type=int, help=f"pixels of a side; default {SIZE}, CIFAR 32")
    parser.add_argument("--validation", type=int, help="training images set aside; default a tenth")
    parser.add_argument("--seed", type=int, default=0, help="of the validation part")


def plan(options: argparse.Namespace) -> Plan:
    """Find the images and lay out the work.

    Raises:
        InputError: no folder, not the layout of the kind, or a bad option.
    """
    source: Path = options.source
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    fixed = options.kind in SMALL
    size = options.size or (cifar.SIDE if fixed else SIZE)
    require(
        size == cifar.SIDE if fixed else size >= 8,
        f"photos: --size must be {'32' if fixed else '>= 8'} for {options.kind}, got {size}.",
    )
    count = options.validation
    require(count is None or count >= 0, f"photos: --validation must be >= 0, got {count}.")
    walked = Walk() if options.kind in cifar.FOLDERS else walk(source, is_photo)
    if options.kind in cifar.FOLDERS:
        items, classes, notes = _batches(options, size)
    else:
        items, classes, notes = _shards(options, size, walked)
    return Plan(
        source=f"photographs, {options.kind} (data_prep photos)",
        licence="that of the source",
        arguments={
            "bias": options.bias.name if options.bias else None,
            "kind": options.kind,
            "ratio": options.ratio,
            "seed": options.seed,
            "size": size,
            "validation": count,
        },
        items=items,
        convert=convert,
        split=partial(_split, count=count, seed=options.seed),
        notes=[*notes, *walked.notes],
        extra={"classes": classes, **Preparation("photo", size, 8).record()},
        skipped=walked.skipped,
        root=source,
        units="",
    )


def convert(payload: Shard | cifar.Batch, output: Output) -> list[Entry]:
    """Write one stack and list its rows."""
    return _shard(payload, output) if isinstance(payload, Shard) else _batch(payload, output)


def _batches(options: argparse.Namespace, size: int) -> Work:
    for name in ("ratio", "bias"):
        given = getattr(options, name)
        require(
            given is None, f"photos: --{name} must be left out for {options.kind}, got {given}."
        )
    batches, classes = cifar.find_batches(options.source, options.kind)
    items = [
        Item(batch.path.stem, batch, (Origin(batch.path.name, (batch.path,)),)) for batch in batches
    ]
    return items, {"label": classes}, []


def _batch(batch: cifar.Batch, output: Output) -> list[Entry]:
    images, labels = cifar.read_batch(batch)
    superclasses = cifar.read_superclasses(batch)
    stack = f"{batch.path.stem}.npy"
    output.write_stack(stack, images, images.shape[1:], "uint8")
    return [
        {
            "image": stack,
            "index": row,
            "label": int(label),
            "patient": f"{batch.part}{batch.first + row:05d}",
            "part": batch.part,
            **({"superclass": superclasses[row]} if superclasses else {}),
        }
        for row, label in enumerate(labels)
    ]


def _shards(options: argparse.Namespace, size: int, walked: Walk) -> Work:
    photos, labels = find_photos(options.source, walked.files, options.kind, options.ratio)
    walked.leave_out({photo.path for photo in photos}, "in no folder of this layout")
    require(
        bool(photos),
        f"{options.source}: source must hold images of {options.kind}, got none. Check the folder.",
    )
    classes = {"label": labels}
    notes: list[str] = []
    if options.bias:
        photos, classes["bias"], notes = with_biases(photos, options.bias)
    elif photos[0].bias is not None:
        highest = max(photo.bias or 0 for photo in photos)
        classes["bias"] = [str(number) for number in range(highest + 1)]
    items = []
    for part in PARTS:
        mine = [photo for photo in photos if photo.part == part]
        for number, start in enumerate(range(0, len(mine), ROWS)):
            chosen = tuple(mine[start : start + ROWS])
            key = f"{part}_{number:04d}"
            origins = tuple(Origin(p.name, (p.path,), f"{p.label} {p.bias}") for p in chosen)
            items.append(Item(key, Shard(f"{key}.npy", chosen, size, start), origins))
    return items, classes, notes


def _shard(shard: Shard, output: Output) -> list[Entry]:
    entries: list[Entry] = []

    def rows() -> Iterator[npt.NDArray[np.uint8]]:
        for number, photo in enumerate(shard.photos, start=shard.first):
            try:
                pixels = output.attempt(photo.name, read_photo, photo.path, shard.size)
            except InputError as error:
                output.skip(photo.name, str(error))
                continue
            entry: Entry = {
                "image": shard.stack,
                "index": len(entries),
                "label": photo.label,
                "patient": f"{photo.part}{number:06d}",
                "part": photo.part,
                "origin": photo.name,
            }
            entries.append(entry if photo.bias is None else {**entry, "bias": photo.bias})
            yield pixels

    output.write_stack(shard.stack, rows(), (shard.size, shard.size, 3), "uint8")
    return entries


def _split(entries: list[Entry], count: int | None, seed: int) -> dict[str, list[Entry]]:
    """The parts of the layout; where none validates, some of the training images do."""
    parts = split_as_told(entries)
    training = parts["training"]
    if parts["validation"] or not training:
        return parts
    wanted = round(SHARE * len(training)) if count is None else count
    require(
        wanted < len(training),
        f"photos: --validation must leave training images, got {wanted} of {len(training)}.",
    )
    return set_aside(parts, wanted, seed)
