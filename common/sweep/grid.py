"""The grid: which values each swept dial takes, and what a run of it is called."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fire.parser import DefaultParseValue

from common.checks import require

__all__ = ["parse_grid", "parse_seeds", "parse_value", "suffix"]

_RANGE = re.compile(r"([-+.\de]+):([-+.\de]+):(\d+)", re.IGNORECASE)
_NO_NAME = re.compile(r"[^\w.+-]+")
MOST = 1000  # values of a range
_DIGITS = 6  # of the values of a range, so that folders have names one can read
SHOWN = "--grid NAME=low:high:count, or NAME=value,value"
COLUMNS = ("strategy", "seed", "measure", "class", "value")
OWN = {
    **dict.fromkeys(COLUMNS, "is a column of the table"),
    "seed": "is given by --seeds",
    "strategy": "is given by --strategies",
    **dict.fromkeys(
        ("run_suffix", "output_dir", "ckpt_dir", "run_dir", "bundle_root", "dataset_dir", "resume"),
        "says where a run lies",
    ),
}


def parse_grid(words: Sequence[str]) -> dict[str, list[Any]]:
    """Read ``--grid`` words: a dial each, with its values.

    Args:
        words: ``name=low:high:count`` (evenly spaced, both ends included) or ``name=a,b,c``.

    Returns:
        The values by dial, in the order given; a value that is given twice is one.

    Raises:
        InputError: it is not written so, or the dial cannot be swept.

    >>> parse_grid(["hue=0:0.5:3", "batch_size=64,128"])
    {'hue': [0.0, 0.25, 0.5], 'batch_size': [64, 128]}
    """
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        require(
            bool(equals and name.isidentifier() and text),
            f"--grid: must be written as {SHOWN}, got {word!r}.",
        )
        require(name not in OWN, f"--grid {name}: cannot be swept, for it {OWN.get(name)}.")
        require(name not in grid, f"--grid {name}: must be given once, got it twice.")
        grid[name] = _values(name, text)
    return grid


def parse_seeds(text: str, first: int) -> list[int]:
    """Read ``--seeds``: their number, from `first` on, or several by comma.

    Raises:
        InputError: neither.

    >>> parse_seeds("3", 5), parse_seeds("0,7", 5)
    ([5, 6, 7], [0, 7])
    """
    values = [parse_value(part) for part in text.strip(",").split(",")]
    whole = all(type(value) is int and value >= 0 for value in values)
    require(
        whole and values != [0],
        f"--seeds: must be a number of seeds, or seeds with commas between them, got {text!r}.",
    )
    alone = len(values) == 1 and "," not in text
    return list(range(first, first + values[0])) if alone else list(dict.fromkeys(values))


def parse_value(text: str) -> Any:
    """Read a value as MONAI's command line does: a number, a list, a word.

    >>> parse_value("0.10"), parse_value("[4,8]"), parse_value("batch")
    (0.1, [4, 8], 'batch')
    """
    return DefaultParseValue(text)


def suffix(point: Mapping[str, Any]) -> str:
    """Return what tells a run of the grid from the others, for the name of its folder.

    >>> suffix({"hue": 0.0, "crop_min": 0.08})
    '_hue0_crop_min0.08'
    """
    return "".join(f"_{name}{_named(value)}" for name, value in point.items())


def _values(name: str, text: str) -> list[Any]:
    if match := _RANGE.fullmatch(text):
        values = _range(name, parse_value(match[1]), parse_value(match[2]), int(match[3]))
    else:
        read = parse_value(text)
        several = isinstance(read, str) and "," in read
        values = list(read) if isinstance(read, tuple) else [read]
        values = [parse_value(part) for part in read.split(",")] if several else values
    once: dict[str, Any] = {}
    for value in values:
        same = once.setdefault(_named(value), value)
        require(
            same == value and _named(value) != "",
            f"--grid {name}: values must differ in letters or digits, by which folders are named, "
            f"got {text!r}.",
        )
    return list(once.values())


def _range(name: str, low: Any, high: Any, count: int) -> list[Any]:
    numbers = all(isinstance(end, int | float) for end in (low, high))
    require(
        numbers and 2 <= count <= MOST,
        f"--grid {name}: a range must be low:high:count with a count of 2 or more, at most {MOST}, "
        f"got {low}:{high}:{count}.",
    )
    step = (high - low) / (count - 1)
    values = [float(f"{low + k * step:.{_DIGITS}g}") for k in range(count)]
    require(
        len(set(values)) == count,
        f"--grid {name}: {count} values of a range must differ in {_DIGITS} digits, got "
        f"{low}:{high}:{count}. Name them: {name}={low},{high}.",
    )
    whole = isinstance(low, int) and isinstance(high, int)
    whole = whole and all(value.is_integer() for value in values)
    return [int(value) for value in values] if whole else values


def _named(value: Any) -> str:
    """A value as a part of a name; 1 and 1.0 are one."""
    if isinstance(value, float):
        text = repr(int(value)) if value.is_integer() else repr(value)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    return _NO_NAME.sub("-", text).strip("-" if not isinstance(value, int | float) else "")
