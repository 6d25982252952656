"""Stacks on disk: many images in one ``.npy`` file, written row by row and read by memory map.

A stack is ``(N, H, W)`` or ``(N, H, W, 3)`` uint8, ``(N, *spatial)``, ``(N, C, X, Y, Z)`` or
``(N, features)`` float, or
``(N, voxels)`` float beside the manifest's ``"mask"``: ``volume[mask] = row``.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.image_store import ENDING, StoredImages
from common.data.reading import reading
from common.data.rows import Rows, coded, counted, numbers
from common.files import replacing

__all__ = ["check_stacks", "open_stack", "read_features", "read_mask", "stack_row", "write_stack"]

Array = npt.NDArray[Any]
CHANNELS_NDIM = 5  # of a stack of volumes with several channels: (N, C, X, Y, Z)
CURE = "Prepare the data again with python -m data_prep."


def open_stack(path: str | Path) -> Any:
    """Map a stack into memory, read-only; nothing is read until rows are asked for.

    Returns:
        (N, ...), uint8, float16, float32 or float64; of an archive of images the same by their
        blocks, see `common.data.image_store.StoredImages`.

    Raises:
        InputError: no such file, not a whole ``.npy`` file, no row axis, or another type.
    """
    path = Path(path)
    if path.suffix == ENDING:
        return StoredImages(path)
    with reading(path, ".npy file of numbers"):
        array = np.lib.format.open_memmap(path, mode="r")
    require(
        array.ndim >= 2,
        f"{path}: must hold one row for each image, got shape {array.shape}. {CURE}",
    )
    require(
        array.dtype in (np.uint8, np.float16, np.float32, np.float64),
        f"{path}: must hold uint8 or floating point numbers, got {array.dtype}. {CURE}",
    )
    return array


def stack_row(path: Path, index: int) -> Array:
    """Read one row of a stack, as `open_stack` gives it.

    Raises:
        InputError: as `open_stack`, or no such row.
    """
    stack = open_stack(path)
    require(
        0 <= index < len(stack),
        f"{path.name}: index must lie in 0..{len(stack) - 1}, got {index}.",
    )
    return np.asarray(stack[index])


def read_mask(path: str | Path) -> npt.NDArray[np.bool_]:
    """Read the mask of a manifest: bool, the spatial shape of the volumes."""
    path = Path(path)
    with reading(path, ".npy file"):
        mask = np.array(np.load(path, mmap_mode="r", allow_pickle=False))
    require(
        mask.dtype == np.bool_ and bool(mask.any()),
        f"{path}: mask must be bool with at least one True, got {mask.dtype}. {CURE}",
    )
    return np.asarray(mask, np.bool_)


def read_features(path: Path) -> Array:
    """Read one subject's table, which becomes a row of a stack: all values, in the file's order.

    Returns:
        (F,), type as stored.

    Raises:
        InputError: not a whole ``.npy`` file, or no real numbers.
    """
    with reading(path, ".npy file of numbers"):
        values = np.array(np.load(path, mmap_mode="r", allow_pickle=False)).ravel()
    require(
        values.dtype.kind in "uif" and values.size > 0,
        f"{path.name}: must be a whole .npy file of real numbers, got {values.size} of type "
        f"{values.dtype}. Leave it out.",
    )
    return values


def write_stack(
    path: str | Path, rows: Iterable[Array], row_shape: tuple[int, ...], dtype: npt.DTypeLike
) -> int:
    """Write rows to a ``.npy`` file one after the other; no more than one row is held.

    The rows need not be counted beforehand. The file appears under its name when it is whole, and
    the same rows give the same bytes.

    Args:
        path: the file to write.
        rows: arrays of shape `row_shape`; converted to `dtype` as they are.
        row_shape: of one row, without the first axis.
        dtype: of the file, e.g. ``"float16"``.

    Returns:
        The number of rows; with none, a stack of shape ``(0, *row_shape)`` is written.

    Raises:
        InputError: a row of another shape, a full disk, or a folder that cannot be written.
    """
    kind, count = np.dtype(dtype), 0
    with replacing(path) as partial, partial.open("wb") as file:
        _write_header(file, (0, *row_shape), kind)
        start = file.tell()
        for row in rows:
            require(
                row.shape == tuple(row_shape),
                f"write_stack: every row must have shape {tuple(row_shape)}, got {row.shape}.",
            )
            file.write(np.ascontiguousarray(row, kind).data)
            count += 1
        file.seek(0)
        _write_header(file, (count, *row_shape), kind)
        require(
            file.tell() == start,
            f"write_stack: {path}: header must keep its length for {count} rows, got another. "
            "Write fewer rows.",
        )
    return count


def check_stacks(manifest: dict[str, Any], root: Path, name: str) -> None:
    """Check what a manifest says of stacks: ``index``, ``mask`` and ``classes``.

    Args:
        manifest: entries of stacks have an ``index``; others are passed over.
        root: folder of the manifest.
        name: what an error calls the manifest.

    Raises:
        InputError: an index outside its stack, a mask whose True voxels are not a row's length,
            or a class that has no name.
    """
    parts = [manifest[part] for part in ("training", "validation", "test")]
    mask = manifest.get("mask")
    require(
        mask is None or isinstance(mask, str),
        f"{name}: mask must be the path of a .npy file, got {mask!r}. {CURE}",
    )
    voxels = int(read_mask(root / mask).sum()) if mask is not None else 0
    for image, low, high in _stacked(parts, name):
        stack = open_stack(root / image)
        require(
            mask is None or stack.shape[1:] == (voxels,),
            f"{name}: rows of {image} must have the mask's {voxels} voxels, "
            f"got shape {stack.shape[1:]}. {CURE}",
        )
        require(
            low >= 0 and high < len(stack),
            f"{name}: index must lie in 0..{len(stack) - 1} for {image}, got "
            f"{low if low < 0 else high}. {CURE}",
        )
    _check_classes(manifest.get("classes"), parts, name)


def _stacked(parts: Sequence[Any], name: str) -> Iterator[tuple[str, int, int]]:
    """Each stack, with the lowest and the highest index of its entries in a part."""
    for entries in parts:
        if isinstance(entries, Rows):
            if "index" in entries.columns and len(entries):
                yield from _spans(entries)
            continue
        spans: dict[str, tuple[int, int]] = {}
        for entry in (entry for entry in entries if "index" in entry):
            image, index = entry["image"], entry["index"]
            require(
                isinstance(image, str) and isinstance(index, int),
                f"{name}: an entry with index must have one image and an integer, got {index!r}. "
                f"{CURE}",
            )
            low, high = spans.get(image, (index, index))
            spans[image] = (min(low, index), max(high, index))
        yield from ((image, *span) for image, span in spans.items())


def _spans(entries: Rows) -> Iterator[tuple[str, int, int]]:
    """The same of columns."""
    codes, images = coded(entries, "image")
    index = numbers(entries, "index")
    some = ~np.isnan(index)
    low, high = np.full(len(images), np.inf), np.full(len(images), -np.inf)
    np.minimum.at(low, codes[some], index[some])
    np.maximum.at(high, codes[some], index[some])
    for image, first, last in zip(images, low, high):
        if first <= last:
            yield image, int(first), int(last)


def _check_classes(classes: Any, parts: Sequence[Any], name: str) -> None:
    """A list names the values of ``label``; an object names those of each of its columns."""
    columns = {"label": classes} if isinstance(classes, list) else classes
    if columns is None:
        return
    require(
        isinstance(columns, dict)
        and all(isinstance(names, list) for names in columns.values())
        and all(isinstance(word, str) for names in columns.values() for word in names),
        f"{name}: classes must be a list of names, or lists of names by column, "
        f"got {type(classes).__name__}. {CURE}",
    )
    for column, names in columns.items():
        for value in (value for entries in parts for value, _ in counted(entries, column)):
            require(
                value is None or (isinstance(value, int) and -1 <= value < len(names)),
                f"{name}: {column} must be -1 or the number of one of {len(names)} classes, "
                f"got {value!r}. {CURE}",
            )


def _write_header(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Version 1.0 header; NumPy pads it so that the first axis may grow without moving the data."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
