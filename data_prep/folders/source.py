"""The plan of `data_prep.folders`: what the options mean."""

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from common.checks import require
from data_prep.folders.class_folders import check_class_folders
from data_prep.folders.laying_out import Choices, lay_out
from data_prep.folders.people import OVERLAPS
from data_prep.machinery import (
    Columns,
    LabelTable,
    Plan,
    Row,
    Walk,
    add_store_argument,
    check_shares,
    find_labels,
    label_arguments,
    walk_images,
)

__all__ = ["add_arguments", "plan"]

SIZES = {"grey": 512, "photo": 224, "fundus": 256}
COLUMNS = ("image", "label", "patient", "split", "age", "site", "bias")
GROUPS = "columns of the table to keep, for results by subgroup"
FINDINGS = "columns of 1 and 0, several labels at once"
NONE = "none"  # word for --labels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``folders``."""
    parser.add_argument(
        "--labels", type=Path, help="CSV, TSV or XLSX; or the word folders, or none (no labels)"
    )
    parser.add_argument("--negative", metavar="NAME", help="the class that is to be number 0")
    for name in COLUMNS:
        parser.add_argument(f"--{name}", metavar="COLUMN", help=f"the table's column for {name}")
    parser.add_argument("--groups", nargs="+", metavar="COLUMN", default=[], help=GROUPS)
    parser.add_argument("--findings", nargs="+", metavar="COLUMN", default=[], help=FINDINGS)
    parser.add_argument("--class-names", nargs="+", metavar="NAME", help="of the classes 0, 1, ...")
    parser.add_argument(
        "--patient-folders", action="store_true", help="the folder of an image is its patient's"
    )
    parser.add_argument(
        "--overlap", choices=OVERLAPS, default="refuse", help="patients in two given parts"
    )
    parser.add_argument("--kind", choices=tuple(SIZES), default="grey", help="what a bundle sees")
    parser.add_argument("--stack", action="store_true", help="squares in stacks, not PNG")
    add_store_argument(parser)
    sizes = ", ".join(f"{size} for {kind}" for kind, size in SIZES.items())
    parser.add_argument("--size", type=int, help=f"pixels; default {sizes}; 0: grey as they are")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8, help="of grey PNG")
    parser.add_argument(
        "--slices", type=int, default=0, help="of a volume, about its middle; 0: all worth reading"
    )
    parser.add_argument("--validation", type=float, default=0.1, help="share of training patients")
    parser.add_argument("--test", type=float, default=0.2, help="share, where no split is given")
    parser.add_argument("--seed", type=int, default=0, help="of the split")


def plan(options: argparse.Namespace) -> Plan:
    """Find the images, read who belongs together, and lay out the work.

    Raises:
        InputError: no folder, no images, folders that are no classes, a fault in the table, or a
            split that cannot be kept.
    """
    choices = _choices(options)
    source: Path = options.source
    walked = walk_images(source)
    table = _named(_labelled(options, walked), options.class_names)
    return lay_out(
        _with_checked_parts(table),
        choices,
        walked=walked,
        root=source,
        source=f"2D pictures, {options.kind} (data_prep folders)",
        arguments=_recorded(options),
    )


def _choices(options: argparse.Namespace) -> Choices:
    """The options, checked."""
    require(
        not (options.store and options.stack),
        "folders: --store and --stack must not be given together, got both. Leave one out.",
    )
    kind = options.kind
    stack = options.stack or (kind == "photo" and not options.store)
    size = SIZES[kind] if options.size is None else options.size
    least = 8 if stack else 32
    require(
        size >= least or (size == 0 and kind == "grey" and not stack),
        f"folders: --size must be at least {least}, or 0 for grey PNG as they are, got {size}.",
    )
    require(
        options.bits == 8 or (kind == "grey" and not stack),
        f"folders: --bits must be 8 for stacks and colour, got {options.bits}.",
    )
    check_shares("folders", options.validation, options.test)
    require(options.slices >= 0, f"folders: --slices must be at least 0, got {options.slices}.")
    return Choices(
        size=size,
        bits=options.bits,
        seed=options.seed,
        kind=kind,
        stack=stack,
        store=options.store,
        slices=None if kind == "fundus" else options.slices,
        validation=options.validation,
        test=options.test,
        overlap=options.overlap,
        even=True,
    )


def _recorded(options: argparse.Namespace) -> dict[str, Any]:
    """What the manifest says of the options; those that were left out are not in it."""
    own = ("groups", "findings", "class_names", "patient_folders", "stack", "store", "slices")
    names = (*own, *COLUMNS)
    given = {name: getattr(options, name) for name in names if getattr(options, name)}
    always = {name: getattr(options, name) for name in ("kind", "overlap", "validation", "test")}
    return {**always, **given, **label_arguments(options)}


def _labelled(options: argparse.Namespace, walked: Walk) -> LabelTable:
    """The images with their labels, by a table, by folders, or with none."""
    source: Path = options.source
    images = [path.relative_to(source) for path in walked.files]
    if options.labels is not None and str(options.labels) == NONE:
        return LabelTable([Row(path, None, {"label": -1}, None) for path in images], [])
    named = {name: getattr(options, name) for name in COLUMNS if getattr(options, name)}
    table = find_labels(
        source,
        images,
        options.labels,
        options.negative,
        keep_parts=True,
        columns=Columns(
            named, tuple(options.groups), tuple(options.findings), options.overlap != "refuse"
        ),
        classes_by_folder=True,
        patient_folders=options.patient_folders,
    )
    if table.folders:
        listed = [name for name in ("groups", "findings") if getattr(options, name)]
        given = next(iter([*named, *listed]), "")
        require(
            not given,
            f"folders: --{given} must name a column of a table, got folders as labels. Give "
            "--labels TABLE.",
        )
        check_class_folders(source, table, options.patient_folders)
    else:
        require(
            not options.patient_folders,
            "folders: --patient-folders must be left out with a table of labels, got both. Name "
            "the table's column with --patient.",
        )
    return table


def _named(table: LabelTable, names: list[str] | None) -> LabelTable:
    """The classes 0, 1, ... of a table by the names that were given."""
    if names is None:
        return table
    numbers = [str(number) for number in range(len(table.classes))]
    require(
        table.classes == numbers and not table.folders,
        f"folders: --class-names must be left out where labels are names, got classes "
        f"{', '.join(table.classes)}. --negative says which one is class 0.",
    )
    require(
        len(names) == len(numbers) and len(set(names)) == len(names),
        f"folders: --class-names must name each of the {len(numbers)} classes once, got "
        f"{', '.join(names)}.",
    )
    return replace(table, classes=names)


def _with_checked_parts(table: LabelTable) -> LabelTable:
    """Every class of a given split must be trained; one that is not tested is said."""
    of_part: dict[str | None, set[int]] = defaultdict(set)
    for row in table.rows:
        of_part[row.part].add(row.entry["label"])
    known = set().union(*of_part.values()) - {-1}
    lacking = [table.classes[k] for k in sorted(known - of_part["training"])]
    require(
        "training" not in {row.part for row in table.rows} or not lacking,
        f"folders: every class must have training images, got none of {', '.join(lacking)}. Move "
        "some to train, or leave the split to be drawn.",
    )
    untested = [table.classes[k] for k in sorted(known - of_part["test"])]
    if not any(row.part == "test" for row in table.rows) or not untested:
        return table
    note = f"the test part holds no image of {', '.join(untested)}"
    return replace(table, notes=[*table.notes, note])
