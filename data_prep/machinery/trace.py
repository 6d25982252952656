"""From predictions on prepared images back to the files of the source, by the key file."""

import argparse
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from common.checks import InputError, require
from common.files import replacing
from data_prep.machinery.names import HEADER

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SUMMARY", "add_arguments", "trace"]

SUMMARY = "Add the source's files and patients to predictions on prepared images."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``trace``."""
    parser.add_argument("--key", type=Path, required=True, help="as --key of the preparation wrote")
    parser.add_argument("--predictions", type=Path, required=True, help="CSV with a column file")
    parser.add_argument("--output", type=Path, required=True, help="CSV to write; names patients")


def trace(options: argparse.Namespace) -> str:
    """Write the predictions with two more columns, ``source`` and ``patient``.

    Images may be named from any folder above them (``p0001/000.png``, ``images/p0001/000.png``), or
    by a pseudonym that has one image.

    Returns:
        A line for the user.

    Raises:
        InputError: a file that is neither table, or an image that the key does not know.
    """
    key = _read(options.key, HEADER)
    table = _read(options.predictions, ("file",))
    key = key[key["prepared"] != ""].drop_duplicates("prepared")
    rows_of = _unique(key["pseudonym"]) | _by_ending(key["prepared"])
    rows = [rows_of.get(name) for name in table["file"]]
    unknown = rows.count(None)
    require(
        not unknown,
        f"{options.predictions}: every file must be a prepared image of {options.key.name}, got "
        f"{unknown} of {len(rows)} that are not. Give the key of the same preparation.",
    )
    for place, column in enumerate(("source", "patient"), start=1):
        table.insert(place, column, key[column].iloc[rows].to_numpy())
    require(
        options.output.resolve() not in (options.key.resolve(), options.predictions.resolve()),
        f"{options.output}: --output must be another file than --key and --predictions, got one of "
        "them.",
    )
    with replacing(options.output) as partial:
        partial.touch(mode=0o600)
        table.to_csv(partial, index=False, lineterminator="\n")
    return f"{options.output}: {len(rows)} predictions with source and patient"


def _by_ending(prepared: "pd.Series[str]") -> dict[str, int]:
    """Row of each prepared image by its name, and by every ending of it that only it has."""
    endings: Counter[str] = Counter()
    rows: dict[str, int] = {}
    for row, name in enumerate(prepared):
        parts = PurePosixPath(name).parts
        for start in range(len(parts)):
            ending = "/".join(parts[start:])
            endings[ending] += 1
            rows[ending] = row
    whole = {name: row for row, name in enumerate(prepared)}
    return {name: row for name, row in rows.items() if endings[name] == 1} | whole


def _unique(names: "pd.Series[str]") -> dict[str, int]:
    """Row of each name that only one row has: predictions on a stack may name subjects."""
    counts = Counter(names)
    return {name: row for row, name in enumerate(names) if counts[name] == 1}


def _read(path: Path, columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd  # slow to import, and seldom needed

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: must be a readable CSV, got {type(error).__name__}. Check the path."
        ) from None
    missing = [name for name in columns if name not in table.columns]
    require(
        not missing, f"{path}: must have the columns {', '.join(columns)}, got no {missing[:1]}."
    )
    return table
