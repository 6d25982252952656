"""The plan of `data_prep.chest_xray`: grey films; folders are classes only where that is sure."""

import argparse
from pathlib import Path

from common.checks import require
from data_prep.folders import Choices, lay_out
from data_prep.machinery import (
    Plan,
    add_label_arguments,
    add_store_argument,
    find_labels,
    label_arguments,
    walk_images,
)

__all__ = ["add_arguments", "plan"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``chest_xray``."""
    add_label_arguments(parser)
    parser.add_argument("--size", type=int, default=512, help="longer side at most; 0: original")
    add_store_argument(parser)
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Find the images, read who belongs together, and lay out the work.

    Raises:
        InputError: no folder, no images, or a fault in the CSV.
    """
    source: Path = options.source
    require(
        options.size == 0 or options.size >= 32,
        f"chest_xray: --size must be 0 or >= 32, got {options.size}.",
    )
    walked = walk_images(source)
    images = [path.relative_to(source) for path in walked.files]
    return lay_out(
        find_labels(source, images, options.labels, options.negative),
        Choices(size=options.size, bits=options.bits, seed=options.seed, store=options.store),
        walked=walked,
        root=source,
        source="chest X-rays (data_prep chest_xray)",
        arguments=label_arguments(options) | ({"store": True} if options.store else {}),
    )
