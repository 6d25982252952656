"""The table of a sweep: one row a run, measure and class, in CSV and Parquet.

Columns: the swept dials in the grid's order, ``strategy``, ``seed``, ``measure``, ``class``,
``value``. ``class`` is empty where the measure is of all images. Values are in the units of
``evaluation.json``: shares from 0 to 1, ages in years.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from common.checks import InputError
from common.files import replacing
from common.report.calls import Calls
from common.report.kind import Result
from common.report.load import load_run
from common.text import cell

__all__ = ["TABLE", "figures", "read_table", "write_table"]

TABLE = "table.csv"
SHARES = ("accuracy", "recall", "precision", "f1")
OTHERS = ("counts", "interval", "epochs", "baselines")  # no figures of the run itself

Row = tuple[str, str, float]


def figures(folder: Path) -> list[Row]:
    """Return (measure, class, value) of everything that an evaluation says of a run.

    Its figures, one by one and by finding or number of clusters; of named classes, recall,
    precision and F1 of each, and the accuracy of each group of images, such as a superclass, as
    ``accuracy_by_superclass``.

    Args:
        folder: of the run, with evaluation.json.

    Raises:
        InputError: it cannot be read.
    """
    result = load_run(folder).result
    calls = getattr(result, "calls", None)
    return [*_of(result), *(_of_classes(calls) if calls is not None else ())]


def _of(result: Result) -> Iterator[Row]:
    """Its own figures; of another head (``probe_accuracy``); of several settings (``ami_2``)."""
    for name, value in vars(result).items():
        if name in OTHERS:
            continue
        if isinstance(value, dict):
            yield from ((name, key, x) for key, x in value.items() if _is_figure(x))
        elif is_dataclass(value) and isinstance(result, type(value)):
            yield from ((f"{name}_{key}", "", x) for key, x in vars(value).items() if _is_figure(x))
        elif isinstance(value, tuple) and all(map(is_dataclass, value)):
            for key, number, x in (triple for each in value for triple in _of_setting(each)):
                yield f"{key}_{number}", "", x
        elif _is_figure(value):
            yield name, "", value


def _of_setting(each: Any) -> Iterator[tuple[str, int, float]]:
    """The figures of a setting that is a number, such as how many clusters."""
    number = next(iter(vars(each).values()), None)
    if isinstance(number, int):
        yield from ((key, number, x) for key, x in vars(each).items() if _is_figure(x))


def _is_figure(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _of_classes(calls: Calls) -> Iterator[Row]:
    matrix = np.array(calls.confusion, dtype=float)
    right, of, named = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    shares = {"recall": (right, of), "precision": (right, named), "f1": (2 * right, of + named)}
    for measure, (part, whole) in shares.items():
        for name, a, b in zip(calls.classes, part, whole):
            if b > 0:
                yield measure, name, float(a / b)
    for group in calls.subgroups:
        if group.accuracy.value is not None:
            yield f"accuracy_by_{group.column}", group.name, float(group.accuracy.value)


def write_table(
    path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]], parquet: bool = False
) -> None:
    """Write a table, whole or not at all.

    Args:
        path: of the CSV.
        names: of the columns.
        rows: their values.
        parquet: write Parquet beside it, where pyarrow is.

    Raises:
        InputError: it cannot be written.
    """
    frame = pd.DataFrame([list(map(_cell, row)) for row in rows], columns=list(names))
    with replacing(path) as partial:
        frame.to_csv(partial, index=False, lineterminator="\n")
    if not parquet or find_spec("pyarrow") is None:
        return
    for name in frame:
        kinds = set(map(type, frame[name]))
        if len(kinds) > 1 and not kinds <= {int, float}:
            frame[name] = frame[name].astype(str)
    with replacing(path.with_suffix(".parquet")) as partial:
        frame.to_parquet(partial, index=False)


def read_table(folder: str | Path) -> pd.DataFrame:
    """Return the table of a sweep.

    Args:
        folder: of the sweep, or the CSV.

    Raises:
        InputError: there is none, or it is none.
    """
    path = Path(folder) / TABLE if Path(folder).is_dir() else Path(folder)
    cure = "Give the folder that python -m common sweep wrote."
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values={"value": [""]})
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: must be a table, got {type(error).__name__}. {cure}") from None
    wanted = ["strategy", "seed", "measure", "class", "value"]
    if list(frame.columns[-len(wanted) :]) != wanted:
        raise InputError(f"{path}: must end with the columns {', '.join(wanted)}. {cure}")
    for wrong, rule in _wrong(frame):
        row = int(np.flatnonzero(wrong)[0]) + 2  # of the file, whose first is the heads
        raise InputError(f"{path}: {rule}, got another in line {row}. {cure}")
    named = [name for name in frame.columns if not str(name).startswith("Unnamed")]
    if len(named) < len(frame.columns):
        raise InputError(f"{path}: every column must have a name, got one without. {cure}")
    return frame.astype({"strategy": str, "class": str, "value": float})


def _wrong(frame: pd.DataFrame) -> Iterator[tuple[Any, str]]:
    """Rows that no sweep writes, and the rule that they break."""
    values = pd.to_numeric(frame["value"], errors="coerce").to_numpy(float)
    share = frame["measure"].isin(SHARES).to_numpy() & ~((values >= 0) & (values <= 1))
    checks = (
        (~np.isfinite(values), "value must be a finite number, with a point before its decimals"),
        (share, f"{', '.join(SHARES)} must be shares from 0 to 1"),
        (
            frame.duplicated([*frame.columns.difference(["value"])]).to_numpy(),
            "a run must have one value of each measure and class",
        ),
    )
    yield from ((wrong, rule) for wrong, rule in checks if wrong.any())


def columns(grid: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """The columns of a table of these swept dials."""
    return [*grid, "strategy", "seed", "measure", "class", "value"]


def _cell(value: Any) -> Any:
    if isinstance(value, bool | int | float):
        return value
    return cell(value if isinstance(value, str) else json.dumps(value))
