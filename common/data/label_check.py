"""What a training reads of labels, checked against its data before the first step."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from common.checks import require
from common.data.rows import Rows, counted

__all__ = ["check_labels", "spare_outputs"]

OLDEST = 120  # years; codes such as -9999 and 999 lie outside


def check_labels(
    dataset: Any, needs: Sequence[str], outputs: int, complete: Sequence[str] = ()
) -> None:
    """Check that the columns a method learns from say something, and that the head has the classes.

    Args:
        dataset: the training data: "entries" (`common.data.StackDataset`) or "data" (MONAI's
            datasets) lists what the manifest says of each image; others are passed over.
        needs: columns that must be known for some images; those that no entry has are passed over.
        outputs: of the classifier; one output tells two classes.
        complete: columns of numbers that must be known for every image.

    Raises:
        InputError: a column of which nothing, or not enough, is known, a single class where
            classes are learned, or a label beyond the head.
    """
    entries = getattr(dataset, "entries", getattr(dataset, "data", None))
    if isinstance(entries, Rows):
        there = set(entries.columns)
    elif isinstance(entries, Sequence) and all(isinstance(entry, Mapping) for entry in entries):
        there = {name for entry in entries for name in entry}
    else:
        return
    for column in (column for column in needs if column in there):
        _check_known(column, counted(entries, column))
    for column in (column for column in complete if column in there):
        _check_complete(column, counted(entries, column))
    if "label" not in getattr(dataset, "columns", ("label",)):
        return
    classes = max(2, outputs)
    beyond = {v for v in (_number(value) for value, _ in counted(entries, "label")) if v >= classes}
    require(
        not beyond,
        f"label: must be 0 to {classes - 1} for a network with {outputs} output"
        f"{'s' if outputs > 1 else ''}, got {min(beyond, default=0):g}. Prepare data with fewer "
        "classes, or set num_classes where the bundle has it.",
    )


def spare_outputs(classes: Sequence[str], outputs: int) -> str:
    """Say in a line that a network has more outputs than the data have classes; "" where not.

    Args:
        classes: names of the data's; none where the data name none.
        outputs: of the network; one tells two classes.
    """
    if not classes or len(classes) >= max(2, outputs):
        return ""
    return (
        f"label: the data have {len(classes)} classes, the network {outputs} outputs: it trains, "
        f"and those beyond {classes[-1]} stay without a name and a meaning. Give --num_classes "
        f"{len(classes)} where the bundle has it."
    )


def _check_known(column: str, values: Sequence[tuple[Any, int]]) -> None:
    images = sum(count for _, count in values)
    known = {number for number in (_number(value) for value, _ in values) if not math.isnan(number)}
    if column == "label":
        known = {value for value in known if value >= 0}
    if column == "age":
        wrong = {value for value in known if not 0 <= value <= OLDEST}
        require(
            not wrong,
            f"age: must be years from 0 to {OLDEST}, or null where it is not known, got "
            f"{min(wrong, default=0):g}. Correct the manifest.",
        )
    cure = (
        "Prepare the data again with labels (python -m data_prep ... --labels CSV), or choose a "
        "strategy that needs none."
    )
    require(
        bool(known),
        f"{column}: must be known of some of the {images} training images, got none. {cure}",
    )
    require(
        column != "label" or len(known) > 1,
        f"{column}: must be of two classes at least in the training images, got one. {cure}",
    )


def _check_complete(column: str, values: Sequence[tuple[Any, int]]) -> None:
    images = sum(count for _, count in values)
    missing = sum(count for value, count in values if math.isnan(_number(value)))
    require(
        not missing,
        f"{column}: must be known of every one of the {images} training images for this "
        f"strategy, got {missing} without. Take those out of the table of the source and prepare "
        "again.",
    )


def _number(value: Any) -> float:
    """Return a number, the first number of a row (a prior), or NaN for anything else."""
    if isinstance(value, np.ndarray) and value.size:
        return float(value.flat[0])
    return float(value) if isinstance(value, Real) else math.nan
