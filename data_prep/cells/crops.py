"""Crops that were cut elsewhere: one ``.npz`` with its table, or a file a crop in class folders.

``<name>.npz`` holds ``x (N, side, side, 3)`` uint8 or uint16 and ``y (N,)``, the class;
``labels.csv`` has a row a crop, in the same order, with ``field`` and, where classes have names,
``moa``. In class folders a file is called ``<field>_<number>``, ``.npy``, ``.png`` or ``.tif``.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data import seeded_order
from common.data.picture import opened, to_rgb
from common.data.reading import reading
from data_prep.cells.bbbc021 import Found
from data_prep.machinery import (
    Entry,
    Item,
    Origin,
    Output,
    folder_names,
    name_classes,
    read_table,
    walk,
)

__all__ = ["CropSet", "convert_crops", "find_crops"]

STACK = "cells.npy"
TABLE = "labels.csv"
SUFFIXES = (".npy", ".png", ".tif", ".tiff")
UNTREATED = ("dmso", "untreated")
WHITE = 99.9  # percentile of 16-bit values that becomes 255
STAINS = 3

Pixels = npt.NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Crop:
    """One crop.

    Args:
        name: of its file, relative to the source, or of its row.
        path: the file.
        row: of ``x`` in it; -1 where the file is one crop.
        entry: columns of the manifest.
    """

    name: str
    path: Path
    row: int
    entry: Entry


@dataclass(frozen=True)
class CropSet:
    """All crops of a source, which have one size and are scaled together."""

    crops: tuple[Crop, ...]
    size: int


def find_crops(source: Path, negative: str | None) -> Found:
    """List the crops of a source and tell their fields and classes.

    Args:
        source: the folder.
        negative: name of the class that is 0; DMSO or untreated unless given.

    Raises:
        InputError: neither form, a table that does not fit, or crops that are no squares.
    """
    archives = sorted(source.glob("*.npz"))
    if archives:
        return _archive(source, archives, negative)
    walked = walk(source, lambda path: path.suffix.lower() in SUFFIXES)
    require(
        bool(walked.files),
        f"{source}: source must hold BBBC021_v1_image.csv, one .npz with {TABLE}, or crops in "
        "class folders, got none of them. Check the folder.",
    )
    inside = [path.relative_to(source) for path in walked.files]
    folders, _, _ = folder_names(inside, asked=True)
    numbers, found = _classes(folders, negative)
    field = [f"{folder}/{path.stem.rpartition('_')[0]}" for folder, path in zip(folders, inside)]
    own = _pseudonyms(field)
    crops = tuple(
        Crop(name.as_posix(), path, -1, {"label": numbers[folder], "patient": own[one]})
        for name, path, folder, one in zip(inside, walked.files, folders, field)
    )
    found.size = _side(crops)
    origins = tuple(Origin(c.name, (c.path,), str(c.entry["label"])) for c in crops)
    found.items = [Item("cells", CropSet(crops, found.size), origins)]
    found.skipped = walked.skipped
    found.notes += [*walked.notes, f"{len(own)} fields; split by field"]
    return found


def convert_crops(crops: CropSet, output: Output) -> list[Entry]:
    """Scale all crops alike and write them as one stack."""
    skipped: set[str] = set()
    white = _white(pixels for _, pixels in _read(crops, output, skipped))
    entries: list[Entry] = []

    def rows() -> Iterator[npt.NDArray[np.uint8]]:
        for crop, pixels in _read(crops, output, skipped):
            where = {"image": STACK, "index": len(entries), "origin": crop.name}
            entries.append({**crop.entry, **where})
            yield np.rint(np.minimum(pixels / white, 1) * 255).astype(np.uint8)

    output.write_stack(STACK, rows(), (crops.size, crops.size, STAINS), "uint8")
    return entries


def _archive(source: Path, archives: list[Path], negative: str | None) -> Found:
    require(
        len(archives) == 1 and (source / TABLE).is_file(),
        f"{source}: source must hold one .npz and {TABLE}, got {len(archives)} .npz and "
        f"{'it' if (source / TABLE).is_file() else 'no table'}.",
    )
    path = archives[0]
    lines = read_table(source / TABLE, "field")
    with reading(path, ".npz of crops"), np.load(path, allow_pickle=False) as stored:
        require(
            {"x", "y"} <= set(stored.files),
            f"{path.name}: must hold x and y, got {', '.join(stored.files) or 'nothing'}.",
        )
        shape, labels = stored["x"].shape, stored["y"]
    require(
        len(shape) == 4 and shape[1] == shape[2] and shape[3] == STAINS,
        f"{path.name}: x must be (N, side, side, {STAINS}), got {shape}.",
    )
    require(
        shape[0] == len(labels) == len(lines) > 0,
        f"{path.name}: x, y and {TABLE} must have as many rows, got {shape[0]}, {len(labels)} and "
        f"{len(lines)}.",
    )
    names = [line.get("moa", "").strip() or str(int(y)) for line, y in zip(lines, labels)]
    numbers, found = _classes(names, negative)
    field = [f"{name}/{line['field']}" for name, line in zip(names, lines)]
    own = _pseudonyms(field)
    crops = tuple(
        Crop(f"{path.name}[{row}]", path, row, {"label": numbers[name], "patient": own[one]})
        for row, (name, one) in enumerate(zip(names, field))
    )
    found.size = int(shape[1])
    origins = tuple(Origin(c.name, (path, source / TABLE), str(c.entry)) for c in crops)
    found.items = [Item("cells", CropSet(crops, found.size), origins)]
    found.notes.append(f"{len(own)} fields; split by field")
    return found


def _classes(names: list[str], negative: str | None) -> tuple[dict[str, int], Found]:
    known = {name.casefold(): name for name in names}
    untreated = [known[name] for name in UNTREATED if name in known]
    classes = name_classes(names, "class", negative or next(iter(untreated), None))
    return classes.numbers, Found([], {"label": classes.names}, 0, notes=list(classes.notes))


def _pseudonyms(fields: Iterable[str]) -> dict[str, str]:
    order = seeded_order(fields, seed=0)
    return {name: f"f{count:04d}" for count, name in enumerate(order, start=1)}


def _side(crops: tuple[Crop, ...]) -> int:
    """Pixels of a side of the first crop that can be read."""
    reason = ""
    for crop in crops:
        try:
            return len(_pixels(crop.path))
        except InputError as error:
            reason = reason or str(error)
    raise InputError(reason)


def _pixels(path: Path) -> Pixels:
    """Read a crop ``(side, side, 3)`` of 8 or 16 bits."""
    if path.suffix.lower() == ".npy":
        with reading(path, "array of a crop"):
            pixels = np.load(path, allow_pickle=False)
    else:
        with opened(path, "picture") as picture:
            pixels = np.asarray(to_rgb(picture))
    require(
        pixels.ndim == 3
        and pixels.shape[0] == pixels.shape[1]
        and pixels.shape[2] == STAINS
        and pixels.dtype in (np.uint8, np.uint16),
        f"{path.name}: must be a square of three stains of 8 or 16 bits, got {pixels.dtype} of "
        f"shape {pixels.shape}.",
    )
    return np.asarray(pixels)


def _read(crops: CropSet, output: Output, skipped: set[str]) -> Iterator[tuple[Crop, Pixels]]:
    """Read the crops that can be; the others are skipped once."""
    stored: dict[Path, Pixels] = {}
    for crop in crops.crops:
        if crop.name in skipped:
            continue
        try:
            if crop.row >= 0:
                if crop.path not in stored:
                    stored[crop.path] = np.load(crop.path, allow_pickle=False)["x"]
                pixels = stored[crop.path][crop.row]
            else:
                pixels = output.attempt(crop.name, _pixels, crop.path)
            require(
                len(pixels) == crops.size,
                f"{Path(crop.name).name}: must have {crops.size} pixels a side as the first crop, "
                f"got {len(pixels)}. Leave it out.",
            )
            yield crop, pixels
        except InputError as error:
            skipped.add(crop.name)
            output.skip(crop.name, str(error))


def _white(crops: Iterable[Pixels]) -> npt.NDArray[np.float64]:
    """What becomes 255 in each stain: 255 of bytes, the percentile of 16-bit values."""
    counts = np.zeros((STAINS, 2**16), np.int64)
    wide = False
    for pixels in crops:
        wide = wide or pixels.dtype == np.uint16
        for stain in range(STAINS):
            counts[stain] += np.bincount(pixels[..., stain].ravel(), minlength=2**16)
    if not wide or not counts.any():
        return np.full(STAINS, 255.0)
    below = counts.cumsum(axis=1)
    rank = np.ceil(WHITE / 100 * below[:, -1:])
    return np.asarray(np.maximum((below < rank).sum(axis=1), 1), np.float64)
