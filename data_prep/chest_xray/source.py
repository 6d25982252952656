"""The plan of `data_prep.chest_xray`: grey films; folders are classes only where that is sure."""

import argparse
from pathlib import Path

from common.checks import require
from common.data.image import is_image
from data_prep.folders import Choices, lay_out
from data_prep.machinery import (
    ARCHIVE,
    Plan,
    Walk,
    add_label_arguments,
    find_labels,
    label_arguments,
    walk,
)

__all__ = ["add_arguments", "plan"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``chest_xray``."""
    add_label_arguments(parser)
    parser.add_argument("--size", type=int, default=512, help="longer side at most; 0: original")
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
    require(
        source.suffix.lower() != ".zip",
        f"{source}: source must be a folder, got a zip archive. Extract it first.",
    )
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    walked = _images(source)
    images = [path.relative_to(source) for path in walked.files]
    return lay_out(
        find_labels(source, images, options.labels, options.negative),
        Choices(size=options.size, bits=options.bits, seed=options.seed),
        walked=walked,
        root=source,
        source="chest X-rays (data_prep chest_xray)",
        arguments=label_arguments(options),
    )


def _images(source: Path) -> Walk:
    """Every image below `source`."""
    walked = walk(source, is_image)
    archives = any(line["reason"] == ARCHIVE for line in walked.skipped)
    require(
        bool(walked.files),
        f"{source}: source must hold DICOM, PNG, JPEG or TIFF images, got none. "
        + ("Extract the archive in it first." if archives else "Check the folder."),
    )
    return walked
