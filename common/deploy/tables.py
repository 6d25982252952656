"""What is made of rows and embeddings once all are there, a part at a time."""

import csv
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError
from common.files import replacing

__all__ = ["write_npz", "write_parquet", "write_zarr"]

ROWS = 65_536  # rows that are written at a time


def write_npz(path: Path, raw: Path, rows: Path, width: int) -> None:
    """Write "h" ``(N, F)``, "name" and "slice" into a NumPy archive.

    Args:
        path: the archive.
        raw: float32 values, row after row.
        rows: CSV of as many rows with "file" and "slice".
        width: F.
    """
    name, index = _names(rows)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, h=_embedding(raw, width), name=name, slice=index)


def write_zarr(path: Path, raw: Path, rows: Path, width: int) -> None:
    """Write the same as a Zarr group; see `write_npz`."""
    zarr = _optional("zarr", "embeddings")
    h, (name, index) = _embedding(raw, width), _names(rows)
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    group = zarr.open_group(partial, mode="w")
    stored = group.create_array(
        "h", shape=h.shape, dtype="float32", chunks=(min(len(h), 4096), width)
    )
    for start in range(0, len(h), ROWS):
        stored[start : start + ROWS] = h[start : start + ROWS]
    group.create_array("name", shape=name.shape, dtype="str")[:] = name.astype(object)
    group.create_array("slice", data=index)
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)


def write_parquet(path: Path, rows: Path) -> None:
    """Write rows of text and numbers as Parquet: "file" and what is no number as text.

    Args:
        path: the table.
        rows: CSV.
    """
    pyarrow = _optional("pyarrow", "a Parquet table")
    parquet = _optional("pyarrow.parquet", "a Parquet table")
    numbers = _numbers(rows)
    with rows.open(newline="", encoding="utf-8") as file, replacing(path) as partial:
        reader = csv.reader(file)
        header = next(reader)
        kinds = [
            pyarrow.int64()
            if name == "slice"
            else pyarrow.float64()
            if is_number
            else pyarrow.string()
            for name, is_number in zip(header, numbers, strict=True)
        ]
        schema = pyarrow.schema(list(zip(header, kinds, strict=True)))
        with parquet.ParquetWriter(partial, schema) as writer:
            while part := list(islice(reader, ROWS)):
                columns = [
                    pyarrow.array([_value(row[place], kind, pyarrow) for row in part], kind)
                    for place, kind in enumerate(kinds)
                ]
                writer.write_table(pyarrow.table(columns, schema=schema))


def _value(text: str, kind: Any, pyarrow: Any) -> Any:
    if kind == pyarrow.string():
        return text
    if not text:
        return None
    return int(text) if kind == pyarrow.int64() else float(text)


def _numbers(rows: Path) -> list[bool]:
    """Which columns hold numbers, or nothing, in every row; never that of the files' names."""
    with rows.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        numbers = [name != "file" for name in header]
        for row in reader:
            numbers = [
                known and (not text or _is_number(text))
                for known, text in zip(numbers, row, strict=True)
            ]
    return numbers


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _embedding(raw: Path, width: int) -> NDArray[np.float32]:
    return np.memmap(raw, np.float32, "r").reshape(-1, width)


def _names(rows: Path) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    pairs = list(_pairs(rows))
    return (
        np.array([name for name, _ in pairs], np.str_),
        np.array([int(index or -1) for _, index in pairs], np.int64),
    )


def _pairs(rows: Path) -> Iterator[tuple[str, str]]:
    with rows.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield row["file"], row["slice"]


def _optional(module: str, what: str) -> Any:
    """Import what only some outputs need."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.split(".")[0]
        raise InputError(
            f"predict: {what} must be written with {package}, which is not installed. pip install "
            f"'monai-contrastive-bundles[{EXTRAS[package]}]', or leave that format out."
        ) from None


EXTRAS = {"zarr": "zarr", "pyarrow": "parquet"}
