"""The plan of `data_prep.biased_mnist`, and how digits get their colours."""

import argparse
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.manifest import PARTS
from common.data.prepare import Preparation
from data_prep.digits import SIDE, MnistPart, list_rows, part_names, plan_of, read_part
from data_prep.machinery import Entry, Output, Plan

__all__ = ["COLOURS", "add_arguments", "assign_colours", "colour_digits", "plan"]

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (225, 225, 0),
    "magenta": (225, 0, 225),
    "cyan": (0, 255, 255),
    "orange": (255, 128, 0),
    "rose": (255, 0, 128),
    "violet": (128, 0, 255),
    "mint": (50, 255, 128),
}
UNBIASED = 0.1

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class BiasedPart(MnistPart):
    """One part to colour and write.

    Args:
        ratio: of the training part.
    """

    ratio: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``biased_mnist``."""
    parser.add_argument(
        "--ratio",
        type=float,
        required=True,
        help="share of the training digits in their class's colour; published: .99 .995 .997 .999",
    )
    parser.add_argument(
        "--validation", type=int, default=5000, help="training digits set aside; published: 0"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the colours and the split")


def plan(options: argparse.Namespace) -> Plan:
    """Lay out the parts.

    Raises:
        InputError: no folder, a ratio outside [0.1, 1], or too many validation digits.
    """
    require(
        UNBIASED <= options.ratio <= 1,
        f"biased_mnist: --ratio must lie in [{UNBIASED}, 1], got {options.ratio}.",
    )
    parts = [
        BiasedPart(name, options.source, options.validation, options.seed, options.ratio)
        for name in part_names(options.source, options.validation)
    ]
    return plan_of(
        parts,
        convert,
        "Biased-MNIST from MNIST's idx files (data_prep biased_mnist)",
        {"ratio": options.ratio},
        Preparation("photo", SIDE, 8),
        {"bias": list(COLOURS)},
    )


def convert(part: BiasedPart, output: Output) -> list[Entry]:
    """Colour one part and write it as a stack ``(N, 28, 28, 3)`` uint8."""
    images, label, numbers = read_part(part)
    ratio = part.ratio if part.name == "training" else UNBIASED
    stream = 1 + PARTS.index(part.name)
    bias = assign_colours(label, ratio, np.random.default_rng([part.seed, stream]))
    stack = f"{part.name}.npy"
    coloured = colour_digits(images, bias)
    output.write_stack(stack, coloured, coloured.shape[1:], "uint8")
    return list_rows(stack, part.name, numbers, {"label": label, "bias": bias})


def assign_colours(label: Labels, ratio: float, rng: np.random.Generator) -> Labels:
    """Give each digit a colour: ``int(n ratio)`` of a class its own, the others evenly.

    Args:
        label: ``(N,)``, 0 to 9.
        ratio: share of the aligned digits of each class.
        rng: draws which digits those are, and the order of the other colours.

    Returns:
        ``(N,)``, the colour's number, 0 to 9.
    """
    bias = label.copy()
    for digit in np.unique(label):
        members = rng.permutation(np.flatnonzero(label == digit))
        others = members[int(len(members) * ratio) :]
        colours = rng.permutation(np.delete(np.arange(len(COLOURS)), digit))
        share = max(1, -(-len(others) // len(colours)))
        bias[others] = colours[np.arange(len(others)) // share]
    return bias


def colour_digits(images: Bytes, bias: Labels) -> Bytes:
    """White digits on a background of the colour numbered `bias`.

    Args:
        images: ``(N, 28, 28)`` grey.
        bias: ``(N,)``.

    Returns:
        ``(N, 28, 28, 3)`` RGB.
    """
    background = np.array(list(COLOURS.values()), np.uint8)[bias][:, None, None, :]
    return np.where(images[..., None] != 0, np.uint8(255), background)
