"""The plan of `data_prep.digits`, and how digits get their cells."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.prepare import Preparation, fit
from data_prep.digits.mnist import (
    SIDE,
    TRAINING_DIGITS,
    MnistPart,
    list_rows,
    part_names,
    plan_of,
    read_part,
)
from data_prep.machinery import Entry, Output, Plan

__all__ = ["CELLS", "LAYOUTS", "add_arguments", "in_cells", "plan"]

LAYOUTS = ("grid", "original")
ACROSS = 3
CELLS = ACROSS**2
LARGEST = 512  # pixels of a digit's side
CELL_STREAM = 1  # of the seed; 0 draws the validation part

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DigitPart(MnistPart):
    """One part to lay out and write.

    Args:
        layout: of `LAYOUTS`.
        size: pixels of a digit's side.
    """

    layout: str
    size: int = SIDE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``digits``."""
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="grid", help="grid: 84 x 84, a digit in one of 9 cells"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=SIDE,
        help="pixels of a digit's side: 28 as MNIST has them, else resized; 32 for deep networks",
    )
    parser.add_argument("--validation", type=int, default=5000, help="training digits set aside")
    parser.add_argument("--seed", type=int, default=0, help="of the cells and the validation part")


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the parts.

    Raises:
        InputError: no folder, too many validation digits, or a size out of range.
    """
    size = options.size
    require(8 <= size <= LARGEST, f"{options.source}: --size must lie in 8..{LARGEST}, got {size}.")
    parts = [
        DigitPart(name, options.source, options.validation, options.seed, options.layout, size)
        for name in part_names(options.source, options.validation)
    ]
    source = "grey digits from MNIST's idx files (data_prep digits)"
    stored = Preparation("grey", 0, 8)
    arguments = {"layout": options.layout, **({} if size == SIDE else {"size": size})}
    return plan_of(parts, convert, source, arguments, stored)


def convert(part: DigitPart, output: Output) -> list[Entry]:
    """Write one part as a stack ``(N, 3 size, 3 size)`` or ``(N, size, size)`` uint8."""
    images, label, numbers = read_part(part)
    if part.size != SIDE:
        images = np.stack([_resized(image, part.size) for image in images])
    stack, side = f"{part.name}.npy", part.size
    if part.layout == "original":
        output.write_stack(stack, images, (side, side), "uint8")
        return list_rows(stack, part.name, numbers, {"label": label})
    rng = np.random.default_rng([part.seed, CELL_STREAM, part.name == "test"])
    cell = rng.integers(CELLS, size=TRAINING_DIGITS)[numbers]
    output.write_stack(stack, in_cells(images, cell), (ACROSS * side, ACROSS * side), "uint8")
    return list_rows(stack, part.name, numbers, {"label": label, "cell": cell})


def _resized(image: Bytes, size: int) -> Bytes:
    """Resize as `common.data.PrepareImaged` does before a network, and round to bytes."""
    fitted = fit(image[None].astype(np.float32) / np.float32(255), size)
    rounded: Bytes = np.rint(fitted[0] * 255).astype(np.uint8)
    return rounded


def in_cells(images: Bytes, cell: npt.NDArray[np.int64]) -> Iterator[Bytes]:
    """Put each image into its cell of a blank field, one after the other.

    Args:
        images: ``(N, side, side)``.
        cell: ``(N,)``, 0 to 8, row by row.

    Yields:
        ``(3 side, 3 side)``.
    """
    side = images.shape[1]
    for image, number in zip(images, cell):
        field = np.zeros((ACROSS * side, ACROSS * side), np.uint8)
        top, left = side * (number // ACROSS), side * (number % ACROSS)
        field[top : top + side, left : left + side] = image
        yield field
