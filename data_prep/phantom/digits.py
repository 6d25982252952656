"""Digits of a pocket calculator on coloured backgrounds: ``phantom --kind digits``.

Ten seven-segment digits, slanted and shifted, of a stroke of each writer's own, white on the
colours of Biased-MNIST. In the training part nine of ten digits have their class's colour,
elsewhere one of ten: the colour nearly gives the label away, and then no longer. For trying out the
bundles of biased and natural images. Ours; no paper describes it.

``--layout original`` leaves them grey on black, as MNIST's are, and ``--layout grid`` puts each in
one of nine cells, as `data_prep.digits` does: for the bundle whose channel chooses crops.

Counts to expect (ours): 60 writers × 20 digits: 720 training, 120 validation, 360 test images.
"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data import seeded_order
from common.data.manifest import PARTS
from common.data.prepare import Preparation
from data_prep.biased_mnist import COLOURS, assign_colours
from data_prep.digits import CELLS, in_cells
from data_prep.machinery import Entry, Item, Output, Plan, split_as_told, to_integers
from data_prep.phantom.texture import soft_step

__all__ = ["plan"]

WRITERS, IMAGES, SIDE = 60, 20, 28
VALIDATION, TEST = 0.1, 0.3
RATIOS = {"training": 0.9, "validation": 0.1, "test": 0.1}
CORNERS = ((-0.4, -0.8), (0.4, -0.8), (-0.4, 0.0), (0.4, 0.0), (-0.4, 0.8), (0.4, 0.8))
STROKES = {
    "a": (0, 1),
    "b": (1, 3),
    "c": (3, 5),
    "d": (4, 5),
    "e": (2, 4),
    "f": (0, 2),
    "g": (2, 3),
}
SHAPES = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Page:
    """What the writers of one part write.

    Args:
        part: "training", "validation" or "test".
        writers: their numbers, from 0.
        digits: of each writer.
        size: pixels of a digit's side.
        seed: of the whole phantom.
        layout: "colour", or one of `data_prep.digits.LAYOUTS`.
    """

    part: str
    writers: tuple[int, ...]
    digits: int
    size: int
    seed: int
    layout: str


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the parts.

    Raises:
        InputError: too few writers, digits or pixels.
    """
    count = WRITERS if options.patients is None else options.patients
    digits = IMAGES if options.slices is None else options.slices
    size = SIDE if options.size is None else options.size
    require(options.dims == 2, f"phantom: --dims must be 2 for --kind digits, got {options.dims}.")
    require(count >= 6, f"phantom: --patients must be >= 6, got {count}.")
    require(digits >= 2, f"phantom: --slices must be >= 2, got {digits}.")
    require(size >= 16, f"phantom: --size must be >= 16 for --kind digits, got {size}.")
    order = [int(name) for name in seeded_order(map(str, range(count)), options.seed)]
    test, validation = round(TEST * count), max(1, round(VALIDATION * count))
    writers = {
        "training": order[test + validation :],
        "validation": order[test : test + validation],
        "test": order[:test],
    }
    layout = options.layout or "colour"
    pages = [
        Page(part, tuple(sorted(writers[part])), digits, size, options.seed, layout)
        for part in PARTS
    ]
    classes = {"label": [str(digit) for digit in range(10)]}
    return Plan(
        source="synthetic digits phantom (data_prep phantom)",
        licence="CC0-1.0: synthetic, no patient",
        arguments={
            "kind": "digits",
            "patients": count,
            "seed": options.seed,
            "size": size,
            "slices": digits,
            **({} if layout == "colour" else {"layout": layout}),
        },
        items=[Item(page.part, page) for page in pages],
        convert=convert,
        split=split_as_told,
        extra={
            "classes": classes | ({"bias": list(COLOURS)} if layout == "colour" else {}),
            **(
                Preparation("photo", size, 8) if layout == "colour" else Preparation(bits=8)
            ).record(),
        },
        units="writers",
    )


def convert(page: Page, output: Output) -> list[Entry]:
    """Draw all digits of one part and write them as a stack."""
    rngs = [np.random.default_rng([page.seed, 0, writer]) for writer in page.writers]
    labels = np.concatenate([_labels(rng, page.digits) for rng in rngs])
    names = np.repeat(page.writers, page.digits)
    drawings = _drawings(rngs, labels, page)
    columns, rows, shape = _laid_out(drawings, labels, page)
    stack = f"{page.part}.npy"
    output.write_stack(stack, rows, shape, "uint8")
    return [
        {
            "image": stack,
            "index": row,
            "label": int(label),
            **{name: int(values[row]) for name, values in columns.items()},
            "patient": f"p{writer + 1:04d}",
            "part": page.part,
        }
        for row, (label, writer) in enumerate(zip(labels, names))
    ]


def _laid_out(
    drawings: Sequence[Array], labels: Integers, page: Page
) -> tuple[dict[str, Integers], Iterable[Bytes], tuple[int, ...]]:
    """Columns beside the label, the images, and the shape of one."""
    rng = np.random.default_rng([page.seed, 1 + PARTS.index(page.part)])
    if page.layout == "colour":
        bias = assign_colours(labels, RATIOS[page.part], rng)
        background = np.array(list(COLOURS.values()), np.float32)[bias]
        rows = (_coloured(drawn, colour) for drawn, colour in zip(drawings, background))
        return {"bias": bias}, rows, (page.size, page.size, 3)
    grey = to_integers(np.stack(drawings), bits=8)
    if page.layout == "original":
        return {}, grey, (page.size, page.size)
    cell = rng.integers(CELLS, size=len(labels))
    return {"cell": cell}, in_cells(grey, cell), (3 * page.size, 3 * page.size)


def _labels(rng: np.random.Generator, count: int) -> Integers:
    """Return the ten digits in an order of the writer's own, over and over."""
    return np.resize(rng.permutation(10), count)


def _drawings(rngs: Sequence[np.random.Generator], labels: Integers, page: Page) -> list[Array]:
    axis = (np.arange(page.size, dtype=np.float32) + 0.5) * 2 / page.size - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    drawings = []
    for rng, mine in zip(rngs, labels.reshape(len(rngs), page.digits)):
        stroke = np.float32(rng.uniform(0.08, 0.14))
        for label in mine:
            slant, scale = rng.uniform(-0.25, 0.25), rng.uniform(0.7, 0.95)
            right, down = rng.uniform(-0.15, 0.15, 2)
            v = (y - down) / scale
            u = (x - right) / scale + slant * v
            drawings.append(_drawn(u.astype(np.float32), v.astype(np.float32), label, stroke, page))
    return drawings


def _drawn(u: Array, v: Array, label: int, stroke: np.float32, page: Page) -> Array:
    """How much of each pixel the strokes cover, in [0, 1]."""
    nearest = np.full_like(u, np.inf)
    for name in SHAPES[label]:
        (x0, y0), (x1, y1) = (CORNERS[corner] for corner in STROKES[name])
        length = (x1 - x0) ** 2 + (y1 - y0) ** 2
        along = np.clip(((u - x0) * (x1 - x0) + (v - y0) * (y1 - y0)) / length, 0, 1)
        distance = np.hypot(u - x0 - along * (x1 - x0), v - y0 - along * (y1 - y0))
        nearest = np.minimum(nearest, distance)
    return soft_step(stroke - nearest, 2 / page.size)


def _coloured(drawn: Array, colour: Array) -> Bytes:
    image = drawn[..., None] * 255 + (1 - drawn[..., None]) * colour
    return np.rint(image).astype(np.uint8)
