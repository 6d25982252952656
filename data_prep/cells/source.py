"""The plan of `data_prep.cells`: which form the source has, and how cells are shared out."""

import argparse
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from common.checks import require
from common.data.cells import NUCLEUS_PX
from common.data.manifest import PARTS
from common.data.prepare import Preparation
from data_prep.cells.bbbc021 import IMAGES, PlateFields, convert_plate, plates_of
from data_prep.cells.crops import CropSet, convert_crops, find_crops
from data_prep.machinery import Entry, Output, Plan, check_shares, split_by_share

__all__ = ["add_arguments", "plan", "split_wells"]

SIZE = 196
STAINS = ["DAPI", "tubulin", "actin"]
SCALED = {
    PlateFields: "each stain of a plate by the 99.9th percentile of its fields, after the light",
    CropSet: "16-bit values by the 99.9th percentile of each stain, 8-bit values not",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``cells``."""
    parser.add_argument(
        "--compound", nargs="+", metavar="NAME", help="of the published layout; class 1, 2, ..."
    )
    parser.add_argument("--size", type=int, help=f"pixels of a crop; default {SIZE}, or as it is")
    parser.add_argument("--nucleus", type=float, help=f"its diameter, pixels; default {NUCLEUS_PX}")
    parser.add_argument("--negative", metavar="NAME", help="the class folder that is untreated")
    parser.add_argument("--validation", type=float, default=0.1, help="share of the wells")
    parser.add_argument("--test", type=float, default=0.2, help="share of the wells")
    parser.add_argument("--seed", type=int, default=0, help="of the split and the untreated cells")


def plan(options: argparse.Namespace) -> Plan:
    """Find the fields or the crops and lay out the work.

    Raises:
        InputError: no folder, none of the three forms, a compound that is not there, or an option
            that the form does not have.
    """
    source: Path = options.source
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    check_shares("cells", options.validation, options.test)
    published = (source / IMAGES).is_file()
    _check_options(options, published)
    size = options.size or SIZE
    found = plates_of(options, size) if published else find_crops(source, options.negative)
    if not published:
        size = found.size
    kind = "BBBC021" if published else "ready crops"
    return Plan(
        source=f"cells in three stains, {kind} (data_prep cells)",
        licence="that of the source",
        arguments=_recorded(options, published),
        items=found.items,
        convert=convert,
        split=partial(
            split_wells, seed=options.seed, validation=options.validation, test=options.test
        ),
        skipped=found.skipped,
        notes=found.notes,
        extra={
            "classes": found.classes,
            "stains": STAINS,
            "scaled": SCALED[PlateFields if published else CropSet],
            **Preparation("photo", size, 8).record(),
        },
        finish=tell,
        units="wells" if published else "fields",
        root=source,
    )


def convert(payload: PlateFields | CropSet, output: Output) -> list[Entry]:
    """Write the crops of a plate, or of a set of ready crops."""
    if isinstance(payload, PlateFields):
        return convert_plate(payload, output)
    return convert_crops(payload, output)


def tell(manifest: dict[str, Any], _: Path) -> None:
    """Say which part has no image, and which compound has fewer controls than cells."""
    shares = manifest["arguments"]
    for part in ("validation", "test"):
        if shares[part] > 0 and not manifest[part]:
            print(f"{part}: holds no image: a class needs three wells or fields to be in all parts")
    labels = Counter(entry["label"] for part in PARTS for entry in manifest[part])
    treated = sum(labels.values()) - labels[0]
    if "compound" in shares and labels[0] < treated:
        print(f"untreated: only {labels[0]} cells beside {treated} treated ones, for want of more")


def _check_options(options: argparse.Namespace, published: bool) -> None:
    where = "a folder with " + IMAGES
    for name in ("compound", "size", "nucleus") if not published else ("negative",):
        require(
            getattr(options, name) is None,
            f"cells: --{name} must be left out for {'ready crops' if not published else where}, "
            f"got {getattr(options, name)}.",
        )
    if published:
        require(
            bool(options.compound),
            "cells: --compound must name one compound of the table or more, such as nocodazole, "
            "got none.",
        )
        size, nucleus = options.size or SIZE, options.nucleus or NUCLEUS_PX
        require(size >= 32, f"cells: --size must be at least 32, got {size}.")
        require(
            4 <= nucleus <= size,
            f"cells: --nucleus must be at least 4 and at most --size, got {nucleus}.",
        )


def _recorded(options: argparse.Namespace, published: bool) -> dict[str, Any]:
    shared = {name: getattr(options, name) for name in ("seed", "validation", "test")}
    if not published:
        return shared | ({"negative": options.negative} if options.negative else {})
    return shared | {
        "compound": [name.casefold() for name in options.compound],
        "nucleus": options.nucleus or NUCLEUS_PX,
        "size": options.size or SIZE,
    }


def split_wells(
    entries: list[Entry], seed: int, validation: float, test: float
) -> dict[str, list[Entry]]:
    """Share out whole patients (wells or fields), those of each class by themselves.

    Args:
        entries: with "patient" and "label".
        seed: chooses them.
        validation: share.
        test: share.
    """
    drawn = split_by_share(entries, seed, validation, test, even=True)
    return {
        part: [{key: v for key, v in entry.items() if key != "fold"} for entry in drawn[part]]
        for part in PARTS
    }
