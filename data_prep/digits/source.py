"""The plan of `data_prep.digits`, and how digits get their cells."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.data.prepare import Preparation
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
CELL_STREAM = 1  # of the seed; 0 draws the validation part

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class DigitPart(MnistPart):
    """One part to lay out and write.

    Args:
        layout: of `LAYOUTS`.
    """

    layout: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``digits``."""
    parser.add_argument(
        "--layout", choices=LAYOUTS, default="grid", help="grid: 84 x 84, a digit in one of 9 cells"
    )
    parser.add_argument("--validation", type=int, default=5000, help="training digits set aside")
    parser.add_argument("--seed", type=int, default=0, help="of the cells and the validation part")


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the parts.

    Raises:
        InputError: no folder, or too many validation digits.
    """
    parts = [
        DigitPart(name, options.source, options.validation, options.seed, options.layout)
        for name in part_names(options.source, options.validation)
    ]
    source = "grey digits from MNIST's idx files (data_prep digits)"
    stored = Preparation("grey", 0, 8)
    return plan_of(parts, convert, source, {"layout": options.layout}, stored)


def convert(part: DigitPart, output: Output) -> list[Entry]:
    """Write one part as a stack ``(N, 84, 84)`` or ``(N, 28, 28)`` uint8."""
    images, label, numbers = read_part(part)
    stack = f"{part.name}.npy"
    if part.layout == "original":
        output.write_stack(stack, images, (SIDE, SIDE), "uint8")
        return list_rows(stack, part.name, numbers, {"label": label})
    rng = np.random.default_rng([part.seed, CELL_STREAM, part.name == "test"])
    cell = rng.integers(CELLS, size=TRAINING_DIGITS)[numbers]
    output.write_stack(stack, in_cells(images, cell), (ACROSS * SIDE, ACROSS * SIDE), "uint8")
    return list_rows(stack, part.name, numbers, {"label": label, "cell": cell})


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
