"""From a file to what is stored of it: one PNG an image, or rows of a stack."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.checks import InputError, require
from common.data import read_image
from common.data.datalist import MAX_BLACK
from common.data.fundus import MARK, read_fundus
from common.data.image import is_picture, is_volume
from common.data.image_store import ENDING
from common.data.nifti import axial_slice, black_share, read_nifti
from common.data.photo import read_photo, square
from common.data.prepare import Preparation, fit, store
from common.data.reading import check_shown
from data_prep.machinery import Entry, Output, encode_png, to_integers

__all__ = ["Picture", "Shard", "convert"]

Pixels = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """One file to convert: where it is, where it goes, what is known of it, whom it is of.

    Args:
        path: the file.
        name: what the source calls it; never written.
        stem: of the output, without its suffix.
        entry: columns of the manifest.
        preparation: what is stored of it.
        identity: of the patient, by the source; never written.
        part: of a given split, or None.
        slices: of a volume: None where volumes are not taken, 0 for all slices worth reading, else
            the number of those that are nearest to the middle.
    """

    path: str
    name: str
    stem: str
    entry: Entry
    preparation: Preparation
    identity: str
    part: str | None = None
    slices: int | None = None


@dataclass(frozen=True, slots=True)
class Shard:
    """Pictures that become rows of one stack of squares, or files of one archive."""

    stack: str
    pictures: tuple[Picture, ...]


def convert(payload: Picture | Shard, output: Output) -> list[Entry]:
    """Read one picture, or those of a shard, and write what is stored of them."""
    if isinstance(payload, Shard):
        archive = payload.stack.endswith(ENDING)
        return _archived(payload, output) if archive else _stacked(payload, output)
    entries = []
    for index, pixels in _stored(payload):
        stem = payload.stem if index is None else f"{payload.stem}_{index:03d}"
        path = output.write(f"images/{stem}.png", _encoded(payload, pixels))
        entries.append({**payload.entry, "image": path, "copy": _same(payload, pixels)})
    return entries


def _encoded(picture: Picture, pixels: Pixels) -> bytes:
    """As PNG; a field of view that was cut says so, and is not looked for again."""
    return encode_png(pixels, MARK if picture.preparation.kind == "fundus" else None)


def _same(picture: Picture, pixels: Pixels) -> str:
    """What exact copies share; those in two parts of a given split stay apart, as it says."""
    return f"{picture.part} {hashlib.sha256(pixels.tobytes()).hexdigest()}"


def _stacked(shard: Shard, output: Output) -> list[Entry]:
    entries: list[Entry] = []
    preparation = shard.pictures[0].preparation

    def rows() -> Iterator[npt.NDArray[np.uint8]]:
        for picture in shard.pictures:
            try:
                squares = output.attempt(picture.name, _squares, picture)
            except InputError as error:
                output.skip(picture.name, str(error))
                continue
            for pixels in squares:
                where = {"image": shard.stack, "index": len(entries), "origin": picture.name}
                entries.append({**picture.entry, **where, "copy": _same(picture, pixels)})
                yield pixels

    side = preparation.size
    shape = (side, side) if preparation.kind == "grey" else (side, side, 3)
    output.write_stack(shard.stack, rows(), shape, "uint8")
    return entries


def _archived(shard: Shard, output: Output) -> list[Entry]:
    """The pictures as PNG in one archive, each as large as it is stored."""
    entries: list[Entry] = []

    def images() -> Iterator[tuple[str, bytes]]:
        for picture in shard.pictures:
            try:
                stored = output.attempt(picture.name, _stored, picture)
            except InputError as error:
                output.skip(picture.name, str(error))
                continue
            for number, pixels in stored:
                where = {"image": shard.stack, "origin": picture.name}
                entries.append({**picture.entry, **where, "copy": _same(picture, pixels)})
                name = picture.stem if number is None else f"{picture.stem}_{number:03d}"
                yield f"{name}.png", _encoded(picture, pixels)

    blocks = output.write_images(shard.stack, images())
    return [{**entry, "index": block} for entry, block in zip(entries, blocks)]


def _squares(picture: Picture) -> list[npt.NDArray[np.uint8]]:
    """The images of a picture as squares of one size; grey ones are padded with black."""
    stored = [pixels for _, pixels in _stored(picture)]
    if picture.preparation.kind != "grey":
        return stored
    side = picture.preparation.size
    floats = (pixels[None].astype(np.float32) / np.float32(255) for pixels in stored)
    return [to_integers(fit(pixels, side)[0], 8) for pixels in floats]


def _stored(picture: Picture) -> list[tuple[int | None, Pixels]]:
    """What is stored of a file: (slice or None, pixels (H, W) or (H, W, 3))."""
    path, preparation = Path(picture.path), picture.preparation
    if is_volume(path):
        require(
            picture.slices is not None,
            f"{path.name}: must be a 2D image, got a NIfTI volume.",
        )
        volume = read_nifti(path)
        chosen = _worth(volume, picture.slices or 0, path.name)
        return [(k, _shown(axial_slice(volume, k)[None], preparation, path.name)) for k in chosen]
    if preparation.kind == "fundus":
        return [(None, read_fundus(path, preparation.size)[0])]
    if preparation.kind == "photo" and is_picture(path):
        return [(None, read_photo(path, preparation.size))]
    return [(None, _shown(read_image(path), preparation, path.name))]


def _shown(image: npt.NDArray[np.float32], preparation: Preparation, name: str) -> Pixels:
    """A grey image (1, H, W) in [0, 1] as it is stored."""
    if preparation.kind == "grey":
        image = store(image, preparation)
        check_shown(image, name)
        return to_integers(image[0], preparation.bits)
    check_shown(image, name)
    return square(Image.fromarray(to_integers(image[0], 8)), preparation.size)


def _worth(volume: npt.NDArray[np.float32], count: int, name: str) -> list[int]:
    """Slices that are less than 80 % black; of them the `count` nearest to the middle, if any."""
    worth = [int(index) for index in np.flatnonzero(black_share(volume) < MAX_BLACK)]
    require(
        bool(worth),
        f"{name}: a volume must have an axial slice less than 80 % black, got none. Leave it out.",
    )
    if not count:
        return worth
    middle = (worth[0] + worth[-1]) / 2
    return sorted(sorted(worth, key=lambda index: abs(index - middle))[:count])
