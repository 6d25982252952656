"""A prepared data set for a probe: its three parts in batches, labelled images only."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import CacheDataset, DataLoader
from torch import Tensor

from common.checks import require
from common.data import class_names, load_datalist, read_manifest
from common.data.manifest import PARTS
from common.data.rows import Rows, numbers

__all__ = ["Centred", "ProbeSet"]

Batch = Mapping[str, Any]


class ProbeSet:
    """One prepared folder as a probe reads it.

    Args:
        dataset_dir: the folder of a manifest, with "label" and "patient" of every image.
        transform: from an entry of the manifest to what is batched: "image", "label", "patient".
        batch_size: images of a batch.
        cache_rate: share of the images kept in memory.
        num_workers: processes that read images.

    Attributes:
        name: the folder's name.
        classes: the names of the classes, by label.
        manifest: as it was read, its parts those of the batches.
        training: batches of the training part, always in the same order.
        validation: likewise.
        test: likewise.
        images: number of labelled images of each part.
        training_label: ``(N,)``, in the order of the batches.
    """

    def __init__(
        self,
        dataset_dir: str | Path,
        transform: Callable[[Any], Any],
        batch_size: int = 64,
        cache_rate: float = 0.0,
        num_workers: int = 0,
    ) -> None:
        folder = Path(dataset_dir)
        self.name = folder.resolve().name
        manifest = read_manifest(folder)
        self.classes = tuple(class_names(manifest))
        require(
            len(self.classes) > 0,
            f"{folder}: the manifest must name the classes of the label, got none. Prepare the "
            "data again with python -m data_prep.",
        )
        entries = {part: _labelled(folder, part) for part in PARTS}
        self.manifest = {**manifest, **entries}
        self.images = {part: len(listed) for part, listed in entries.items()}
        self.training_label = numbers(entries["training"], "label").astype(int)
        self.training, self.validation, self.test = (
            DataLoader(
                CacheDataset(entries[part], transform, cache_rate=cache_rate, progress=False),
                batch_size=batch_size,
                num_workers=num_workers,
            )
            for part in PARTS
        )


class Centred:
    """Batches whose images are cut to a central square.

    Args:
        batches: with "image" ``(B, C, H, W)``.
        side: pixels, at most H and W.
    """

    def __init__(self, batches: Iterable[Batch], side: int) -> None:
        self.batches = batches
        self.side = side

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self.batches:
            yield {**batch, "image": self._cut(batch["image"])}

    def _cut(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        require(
            self.side <= min(height, width),
            f"Centred: images must have at least {self.side} pixels a side, got {height} x "
            f"{width}. Load them larger.",
        )
        top, left = (height - self.side) // 2, (width - self.side) // 2
        return x[:, :, top : top + self.side, left : left + self.side]


def _labelled(folder: Path, part: str) -> Sequence[dict[str, Any]]:
    entries = load_datalist(folder, part)
    if isinstance(entries, Rows):
        entries = entries.take(np.flatnonzero(numbers(entries, "label") >= 0))
    else:
        entries = [entry for entry in entries if int(entry["label"]) >= 0]
    require(
        len(entries) > 0,
        f"{folder}: the {part} part must hold labelled images, got none. Name another folder in "
        "datasets.",
    )
    return entries
