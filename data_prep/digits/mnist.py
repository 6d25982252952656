"""MNIST's four idx files (LeCun et al. 1998), packed (``.gz``) or not.

An idx file is two zero bytes, a type (8 = uint8), the number of axes, each axis as a big-endian
32-bit integer, then the values. The files are recognised by the SHA-256 of what they hold
unpacked: a copy packed by another program holds the same digits.

`MnistPart` is one part of a data set made of them: a validation part is carved out of the training
digits, by the seed, the same for every source that uses this module.
"""

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.prepare import Preparation
from data_prep.machinery import Entry, Item, Output, Plan, split_as_told

__all__ = [
    "DIGESTS",
    "SIDE",
    "TRAINING_DIGITS",
    "MnistPart",
    "list_rows",
    "part_names",
    "plan_of",
    "read_digits",
    "read_part",
]

SIDE = 28
TRAINING_DIGITS = 60_000
DIGESTS = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MnistPart:
    """One part to write.

    Args:
        name: "training", "validation" or "test".
        source: folder of MNIST.
        validation: training digits set aside.
        seed: draws those, and whatever else a source draws.
    """

    name: str
    source: Path
    validation: int
    seed: int


def part_names(source: Path, validation: int) -> list[str]:
    """Return the names of the parts: all three, or two without validation digits.

    Args:
        source: folder of MNIST.
        validation: training digits to set aside.

    Raises:
        InputError: no folder, or too many validation digits.
    """
    require(source.is_dir(), f"{source}: source must be a folder, got none. Check the path.")
    require(
        0 <= validation <= TRAINING_DIGITS // 2,
        f"{source}: --validation must lie in 0..{TRAINING_DIGITS // 2}, got {validation}.",
    )
    return ["training", *(["validation"] if validation else []), "test"]


def plan_of(
    parts: Sequence[MnistPart],
    convert: Callable[[Any, Output], list[Entry]],
    source: str,
    arguments: dict[str, Any],
    preparation: Preparation,
    classes: Mapping[str, list[str]] | None = None,
) -> Plan:
    """Lay out the parts of a data set made of MNIST's digits.

    Args:
        parts: to write.
        convert: writes one of them.
        source: for the manifest.
        arguments: of the command beside ``--validation`` and ``--seed``.
        preparation: of the images that are written.
        classes: names of the classes of columns beside ``label``.
    """
    first = parts[0]
    return Plan(
        source=source,
        licence="that of MNIST (LeCun, Cortes, Burges), commonly stated as CC BY-SA 3.0",
        arguments={**arguments, "seed": first.seed, "validation": first.validation},
        items=[Item(part.name, part) for part in parts],
        convert=convert,
        split=split_as_told,
        extra={
            "classes": {"label": [str(digit) for digit in range(10)], **(classes or {})},
            **preparation.record(),
        },
    )


def read_part(part: MnistPart) -> tuple[Bytes, Numbers, Numbers]:
    """Read the digits of one part, in the order of MNIST.

    Returns:
        Images ``(N, 28, 28)`` uint8, labels ``(N,)``, and the digits' numbers in their file.
    """
    images, labels = read_digits(part.source, training=part.name != "test")
    order = np.random.default_rng([part.seed, 0]).permutation(len(labels))
    chosen = {
        "training": np.sort(order[part.validation :]),
        "validation": np.sort(order[: part.validation]),
        "test": np.arange(len(labels)),
    }[part.name]
    return images[chosen], labels[chosen].astype(np.int64), chosen


def list_rows(
    stack: str, part: str, numbers: Numbers, columns: Mapping[str, Numbers]
) -> list[Entry]:
    """Return the entries of a stack of MNIST digits, each digit its own patient.

    Args:
        stack: relative path.
        part: its part.
        numbers: ``(N,)``, the digits' numbers in MNIST's file.
        columns: ``(N,)`` each, by name.
    """
    prefix = "t" if part == "test" else "d"
    return [
        {
            "image": stack,
            "index": row,
            **{name: int(values[row]) for name, values in columns.items()},
            "patient": f"{prefix}{number:05d}",
            "part": part,
        }
        for row, number in enumerate(numbers)
    ]


def read_digits(source: Path, training: bool) -> tuple[Bytes, Bytes]:
    """Read the training (60 000) or the test (10 000) digits.

    Args:
        source: folder of the four files, named as they are published.
        training: which of the two.

    Returns:
        Images ``(N, 28, 28)`` and labels ``(N,)``, both uint8.

    Raises:
        InputError: a file is missing, damaged, or holds something else than MNIST.
    """
    name = "train" if training else "t10k"
    images = _read(source, f"{name}-images-idx3-ubyte")
    labels = _read(source, f"{name}-labels-idx1-ubyte")
    return images, labels


def _read(source: Path, name: str) -> Bytes:
    paths = [source / f"{name}.gz", source / name]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(
            f"{source}: source must hold {name}.gz or {name}, got neither. "
            "Give the folder of MNIST's four idx files."
        )
    try:
        packed = path.read_bytes()
        data = gzip.decompress(packed) if path.suffix == ".gz" else packed
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(
            f"{path}: must be a whole file, got an error ({type(error).__name__}). Copy it again."
        ) from None
    require(
        hashlib.sha256(data).hexdigest() == DIGESTS[name],
        f"{path}: must hold MNIST's {name}, got other bytes. Copy it again.",
    )
    axes = data[3]
    shape = np.frombuffer(data, ">i4", axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)
