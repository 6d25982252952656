"""Tables of features: which columns, in which order, and what stands for a value that is missing.

`data_prep table` writes it into the manifest, the model keeps it, and a table of new people is read
by it: columns go by their names, whatever their order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.manifest import MANIFEST, PARTS, read_manifest
from common.data.stack_file import CHANNELS_NDIM, open_stack
from common.data.tables import Line, few, is_missing, number, read_table

__all__ = ["Features", "feature_count", "feature_rows", "feature_values"]

RECORD = "features"
MOST_MISSING = 0.5  # share of a row's values that may be missing
CURE = "Prepare the table again with python -m data_prep table, and train again."


@dataclass(frozen=True)
class Features:
    """The columns of a table that a network reads.

    Args:
        names: in the order of the network's inputs, in lower case.
        fill: stands for a missing value, by column: the median of the training rows.
        others: names of the columns that may be in a table too, such as an id.
        age: the one of those that holds the age in years, or "".

    Raises:
        InputError: a record that is none.
    """

    names: list[str]
    fill: list[float]
    others: list[str]
    age: str = ""

    def __post_init__(self) -> None:
        """Check the values, which come from a file."""
        texts = [*self.names, *self.others, self.age]
        require(
            bool(self.names)
            and len(self.names) == len(self.fill)
            and all(isinstance(text, str) for text in texts)
            and all(isinstance(value, int | float) for value in self.fill),
            f"features: names must be as many texts as fill has numbers, got others. {CURE}",
        )

    def record(self) -> dict[str, dict[str, Any]]:
        """Return ``{"features": {...}}`` for a manifest."""
        return {RECORD: asdict(self)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Features":
        """Read what `record` wrote.

        Raises:
            InputError: it holds something else.
        """
        try:
            return cls(**record)
        except TypeError:
            raise InputError(
                f"features: must hold names, fill, others and age, got another record. {CURE}"
            ) from None


def feature_count(dataset_dir: str | Path) -> int:
    """Return the columns of a prepared table, or the channels of volumes that have several.

    0 for other images, or where nothing is prepared.

    Args:
        dataset_dir: the folder of a manifest.
    """
    folder = Path(dataset_dir)
    if not (folder / MANIFEST).is_file():
        return 0
    manifest = read_manifest(folder)
    entry: dict[str, Any] = next((e for part in PARTS for e in manifest[part]), {})
    if "index" not in entry or "mask" in manifest:
        return 0
    shape = open_stack(folder / entry["image"]).shape
    return int(shape[1]) if len(shape) in (2, CHANNELS_NDIM) else 0


def feature_values(
    line: Line, names: Sequence[str], fill: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Read one row.

    Args:
        line: of a table.
        names: of the columns.
        fill: stands for a missing value, by column.

    Returns:
        (F,) finite.

    Raises:
        InputError: a cell that holds no number, or more than half of them missing.
    """
    cells = [line[name] for name in names]
    missing = [is_missing(cell) for cell in cells]
    require(
        sum(missing) <= MOST_MISSING * len(names),
        f"{line.where}: at least half of the {len(names)} features must be there, got "
        f"{len(names) - sum(missing)}. Fill them, or leave the row out.",
    )
    values = [fill[k] if missing[k] else _value(line, names[k]) for k in range(len(names))]
    return np.array(values, np.float32)


def _value(line: Line, name: str) -> float:
    value = number(line[name])
    require(
        value is not None and abs(value) <= float(np.finfo(np.float32).max),
        f"{line.where}: {name} must be a number, got something else. Correct it or leave it empty.",
    )
    return float(value or 0)


def feature_rows(path: Path, record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Read a table of new people.

    Args:
        path: CSV, TSV or XLSX.
        record: the "features" of the model's data.

    Returns:
        For each row its name, which is its line, so that no id leaves the table; and its "image",
        the features ``(F,)``, or the "reason" why it has none; "age" where the table gives it.

    Raises:
        InputError: unreadable, the model reads no table, or a column is missing or not known.
    """
    require(
        bool(record),
        f"{path.name}: must be an image, got a table. This model was not trained on one that "
        "data_prep table prepared.",
    )
    features = Features.of(record)
    lines = read_table(path, *features.names, capitals=True)
    extra = [name for name in lines[0] if name and name not in {*features.names, *features.others}]
    require(
        not extra,
        f"{path.name}: must have the columns of the training and no others, got {few(extra)}. "
        "Remove them.",
    )
    return [_entry(line, features) for line in lines]


def _entry(line: Line, features: Features) -> dict[str, Any]:
    entry: dict[str, Any] = {"image": "", "name": line.where}
    try:
        entry["image"] = feature_values(line, features.names, features.fill)
    except InputError as error:
        return {**entry, "reason": str(error)}
    age = number(line.get(features.age, ""))
    return entry if age is None else {**entry, "age": age}
