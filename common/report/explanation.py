"""A page of explained predictions: the image, where its output comes from, what it is like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.report.charts import framed
from common.report.markup import Markup, bullets, figure, heading, paragraph, pictures, section
from common.report.page import bare_page
from common.report.page import write_page as write

__all__ = ["Explained", "Map", "Neighbour", "write_page"]

MEANING = {
    "gradcam": "Grad-CAM: where the last maps of the network raise the output; coarse",
    "occlusion": "Occlusion: how much the output falls when that place is covered",
    "smoothgrad": "SmoothGrad: how strongly the output reacts to a pixel, up or down",
    "attention": "Attention: where the class token of the transformer looked",
}
RAISES, LOWERS = np.array([1.0, 0.5, 0.0]), np.array([0.1, 0.5, 1.0])
STRENGTH = 0.75
SIDE = 224  # pixels of a picture, at most
HOW = (
    "Orange raises the output, blue lowers it; the strongest place of each map has full colour, "
    "however weak it is, so read the number beside it. A map says what the network's output "
    "depends on. It does not say that the network is right, nor where a disease is: maps of wrong "
    "predictions look as convincing. Research use only; not a medical device."
)

Floats = NDArray[Any]


@dataclass(frozen=True)
class Map:
    """A map ``(*spatial)`` of one method, in a unit."""

    method: str
    values: Floats
    unit: str


@dataclass(frozen=True)
class Neighbour:
    """A known image ``(C, *spatial)``, or ``(0, 0, 0)`` without pixels."""

    name: str
    words: str
    image: Floats


@dataclass(frozen=True)
class Explained:
    """One image ``(C, *spatial)``: what was said, maps, neighbours; or why it was not read."""

    name: str
    said: Sequence[str]
    reason: str
    output: str
    image: Floats
    maps: Sequence[Map]
    near: Sequence[Neighbour]


def write_page(explained: Sequence[Explained], output: Path, title: str) -> Path:
    """Write a page, whole or not at all, and return its path."""
    parts = [_section(number, one) for number, one in enumerate(explained) if not one.reason]
    missing = [f"{one.name}: {one.reason}" for one in explained if one.reason]
    if missing:
        parts.append(section("left-out", "Not read", bullets(missing)))
    return write(bare_page(title, HOW, parts), output)


def _section(number: int, one: Explained) -> Markup:
    places = _cuts(one)
    shown = [
        figure(*(framed(_cut(one.image, at), f"{one.name}") for at in places), name="image"),
        *(_map(one, each, places) for each in one.maps),
    ]
    near = [
        figure(framed(_middle(each.image), each.name), name=each.name, words=each.words)
        for each in one.near
        if each.image.size
    ]
    parts = [bullets(one.said), paragraph(f"Explained: {one.output}.")]
    parts.append(pictures(*shown, kind="large"))
    if near:
        parts += [heading("The nearest known images"), pictures(*near, kind="maps")]
    return section(f"image-{number}", one.name, *parts)


def _map(one: Explained, each: Map, places: Sequence[tuple[int, int]]) -> Markup:
    strongest = float(each.values.flat[np.abs(each.values).argmax()])
    number = f"{strongest:+.2g}".replace("-", "−") + (f" {each.unit}" if each.unit else "")
    ending = f" Strongest: {number}." if each.method == "occlusion" else ""
    drawn = []
    for at in places:
        colours = _cut(each.values[None], at, scaled=False)
        tinted = _tinted(_cut(one.image, at), colours, abs(strongest))
        drawn.append(framed(tinted, f"{one.name}, {each.method}"))
    name, _, words = MEANING[each.method].partition(": ")
    return figure(*drawn, name=name, words=words[:1].upper() + words[1:] + "." + ending)


def _cuts(one: Explained) -> list[tuple[int, int]]:
    """(axis, place) of the cuts shown: of a volume one an axis, through the strongest place."""
    if one.image.ndim == 3:
        return [(-1, 0)]
    every = {each.method: each.values for each in one.maps}
    strongest = every.get("occlusion", next(iter(every.values()), one.image.sum(axis=0)))
    place = np.unravel_index(np.abs(strongest).argmax(), strongest.shape)
    return [(axis, int(at)) for axis, at in enumerate(place)]


def _middle(image: Floats) -> Floats:
    return _cut(image, (-1, 0) if image.ndim == 3 else (2, image.shape[3] // 2))


def _cut(image: Floats, at: tuple[int, int], *, scaled: bool = True) -> Floats:
    """``(H, W)`` or ``(H, W, 3)`` of an image ``(C, *spatial)``; between 0 and 1 where scaled."""
    axis, place = at
    flat = image if axis < 0 else np.rot90(image.take(place, axis + 1), axes=(1, 2))
    flat = flat[:3] if flat.shape[0] >= 3 else flat[:1]
    step = -(-max(flat.shape[1:]) // SIDE)
    flat = np.asarray(flat[:, ::step, ::step], dtype=np.float64)
    if scaled:
        low, high = (float(end) for end in np.quantile(image, (0, 0.998)))
        flat = np.clip((flat - low) / max(high - low, 1e-12), 0, 1)
    return np.moveaxis(flat, 0, -1) if len(flat) == 3 else flat[0]


def _tinted(image: Floats, values: Floats, strongest: float) -> Floats:
    """The image with the map in colour, ``(H, W, 3)``."""
    share = np.clip(values / max(strongest, 1e-12), -1, 1)[..., None]
    grey = image[..., None] if image.ndim == 2 else image
    colour = np.where(share >= 0, RAISES, LOWERS)
    return np.asarray(grey + STRENGTH * np.abs(share) * (colour - grey))
