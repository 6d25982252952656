"""Files that are read in worker processes while the network works on those before."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from common.checks import InputError
from common.data import ImageFiles

__all__ = ["Group", "read_ahead"]

FEW = 16  # so few files are read sooner than a worker process has started
MOST_WORKERS = 4

Group = tuple[list[dict[str, Any]], Tensor | None]


def read_ahead(
    files: ImageFiles, size: int, workers: int | None = None, todo: Sequence[int] | None = None
) -> Iterator[list[Group]]:
    """Yield the images of some files at once, in order.

    Args:
        files: to read.
        size: files at once, at most.
        workers: processes that read; None for as many as there are cores, at most four, and none
            for a few files.
        todo: numbers of the files; all unless given.

    Yields:
        Neighbours of one shape: their entries, without pixels, and their images ``(B, C,
        *spatial)``; None for files without an image, whose entries have the "reason".

    Raises:
        InputError: the system ended a process that reads.
    """
    if workers is None:
        workers = _workers(len(files) if todo is None else len(todo))
    chunks = files.chunks(size, todo)
    loader = DataLoader(files, batch_sampler=chunks, num_workers=workers, collate_fn=_gathered)
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise InputError(
            "predict: a process that reads files was ended by the system; its memory may not "
            "have sufficed. Use fewer workers; what was predicted is kept."
        ) from error


def _workers(files: int) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return 0 if files <= FEW else min(MOST_WORKERS, cores)


def _gathered(files: Sequence[Sequence[dict[str, Any]]]) -> list[Group]:
    """Stack neighbours of one shape: few tensors go from process to process."""
    groups: list[tuple[list[dict[str, Any]], list[Tensor]]] = []
    shape: Any = ()
    for entry in (entry for images in files for entry in images):
        image = None if "reason" in entry else torch.as_tensor(entry["image"])
        now = None if image is None else (image.shape, image.dtype)
        if not groups or now != shape:
            groups.append(([], []))
            shape = now
        groups[-1][0].append(_light(entry))
        if image is not None:
            groups[-1][1].append(image)
    return [(entries, torch.stack(images) if images else None) for entries, images in groups]


def _light(entry: Mapping[str, Any]) -> dict[str, Any]:
    """An entry without pixels."""
    return {
        key: value for key, value in entry.items() if not isinstance(value, Tensor | np.ndarray)
    }
