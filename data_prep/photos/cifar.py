"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their two published layouts.

``cifar-10-batches-bin`` and ``cifar-100-binary`` hold records of one label byte (CIFAR-100: coarse,
then fine) and 3 072 pixel bytes: 32 x 32 red, then green, then blue. ``cifar-10-batches-py`` and
``cifar-100-python`` hold pickles of the same, which are read without running what a pickle can run.
"""

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require

__all__ = ["SIDE", "Batch", "find_batches", "read_batch", "read_superclasses"]

SIDE = 32
PIXELS = 3 * SIDE * SIDE
FOLDERS = {
    "cifar10": ("cifar-10-batches-bin", "cifar-10-batches-py"),
    "cifar100": ("cifar-100-binary", "cifar-100-python"),
}
NAMES = {
    "cifar10": ([f"data_batch_{number}" for number in range(1, 6)], ["test_batch"]),
    "cifar100": (["train"], ["test"]),
}
TEN = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HARMLESS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Batch:
    """One file of images and labels.

    Args:
        path: the file.
        part: "training" or "test".
        kind: "cifar10" or "cifar100".
        first: number of its first image among those of the part.
    """

    path: Path
    part: str
    kind: str
    first: int


def find_batches(source: Path, kind: str) -> tuple[list[Batch], list[str]]:
    """Return the batches of a published folder, or of the folder that holds it, and class names.

    Raises:
        InputError: neither layout is there, or a batch is missing.
    """
    folders = [source, *(source / name for name in FOLDERS[kind])]
    for folder in folders:
        for suffix in (".bin", ""):
            parts = [[folder / f"{name}{suffix}" for name in names] for names in NAMES[kind]]
            if all(path.is_file() for paths in parts for path in paths):
                batches = []
                for part, paths in zip(("training", "test"), parts):
                    batches += [Batch(path, part, kind, i * 10_000) for i, path in enumerate(paths)]
                return batches, _class_names(folder, kind)
    raise InputError(
        f"{source}: source must hold {' or '.join(FOLDERS[kind])} with all its files, got neither. "
        "Unpack the published archive."
    )


def read_batch(batch: Batch) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """Read one file.

    Returns:
        Images ``(N, 32, 32, 3)`` and labels ``(N,)``: of CIFAR-100, the fine ones.

    Raises:
        InputError: the file is damaged or holds something else.
    """
    if batch.path.suffix == ".bin":
        labels = 1 if batch.kind == "cifar10" else 2
        data = np.frombuffer(batch.path.read_bytes(), np.uint8)
        require(
            len(data) > 0 and len(data) % (labels + PIXELS) == 0,
            f"{batch.path}: must hold whole records of {labels + PIXELS} bytes, got {len(data)} "
            "bytes. Unpack the archive again.",
        )
        records = data.reshape(-1, labels + PIXELS)
        pixels, label = records[:, labels:], records[:, labels - 1]
    else:
        content = _unpickled(batch.path)
        key = b"labels" if batch.kind == "cifar10" else b"fine_labels"
        require(
            key in content and b"data" in content,
            f"{batch.path}: must hold data and {key.decode()}, got {sorted(map(str, content))}. "
            "Unpack the archive again.",
        )
        pixels, label = np.asarray(content[b"data"]), np.asarray(content[key])
    require(
        pixels.dtype == np.uint8 and label.dtype.kind in "ui" and pixels.size % PIXELS == 0,
        f"{batch.path}: must hold {PIXELS} bytes for each image and whole numbers as labels, got "
        f"{pixels.dtype} and {label.dtype}. Unpack the archive again.",
    )
    images = pixels.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    classes = int(batch.kind.removeprefix("cifar"))
    require(
        len(label) == len(images) and all(0 <= int(value) < classes for value in label),
        f"{batch.path}: must hold one label of 0..{classes - 1} for each image, got others. Unpack "
        "the archive again.",
    )
    return images, label.astype(np.int64)


def _class_names(folder: Path, kind: str) -> list[str]:
    if kind == "cifar10":
        return TEN
    text = folder / "fine_label_names.txt"
    if text.is_file():
        return text.read_text(encoding="ascii", errors="replace").split()
    meta = folder / "meta"
    if meta.is_file():
        return [name.decode() for name in _unpickled(meta)[b"fine_label_names"]]
    return [str(number) for number in range(100)]


def read_superclasses(batch: Batch) -> list[str]:
    """Read which of CIFAR-100's twenty superclasses each image is of.

    Args:
        batch: a file that `read_batch` reads.

    Returns:
        A name for each image, such as "aquatic_mammals", or "superclass 3" where the names are not
        beside the file; empty where there are none, as in CIFAR-10.
    """
    if batch.kind == "cifar10":
        return []
    if batch.path.suffix == ".bin":
        data = np.frombuffer(batch.path.read_bytes(), np.uint8)
        coarse = data.reshape(-1, 2 + PIXELS)[:, 0].tolist()
    else:
        coarse = [int(value) for value in _unpickled(batch.path).get(b"coarse_labels", [])]
    text, meta = (batch.path.with_name(name) for name in ("coarse_label_names.txt", "meta"))
    names: list[str] = []
    if text.is_file():
        names = text.read_text(encoding="ascii", errors="replace").split()
    elif meta.is_file():
        names = [name.decode() for name in _unpickled(meta).get(b"coarse_label_names", [])]
    return [names[k] if k < len(names) else f"superclass {k}" for k in coarse]


def _unpickled(path: Path) -> dict[bytes, Any]:
    try:
        content: dict[bytes, Any] = _Harmless(
            io.BytesIO(path.read_bytes()), encoding="bytes"
        ).load()
    except Exception as error:
        raise InputError(
            f"{path}: must be a whole pickle of arrays, got an error ({type(error).__name__}). "
            "Unpack the archive again."
        ) from None
    return content


class _Harmless(pickle.Unpickler):
    """An unpickler that builds NumPy arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"{module}.{name} is not an array")
        return super().find_class(module, name)
