"""What the images of each class of a prepared folder look like, in numbers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.data import StackDataset, class_names, read_image, read_manifest, seeded_order
from common.metrics.class_properties import NEIGHBOURS, class_properties

__all__ = ["properties_of_classes"]

PART = "training"


def properties_of_classes(
    dataset_dir: str | Path, images: int, classes: Sequence[str]
) -> dict[str, dict[str, NDArray[np.floating[Any]]]]:
    """Describe each class by `common.metrics.class_properties`.

    Args:
        dataset_dir: that `data_prep` wrote; 2D images, all of one size.
        images: of each class, of the training part, always the same ones; all where there are less.
        classes: whose images are looked at; others are passed over.

    Returns:
        The properties by the name of the class, by the name of the property.

    Raises:
        InputError: no such folder, images that are not 2D, or too few of a class.
    """
    manifest = read_manifest(dataset_dir)
    require(
        images > NEIGHBOURS,
        f"--images must be more than {NEIGHBOURS}, got {images}. The intrinsic dimension looks at "
        f"{NEIGHBOURS} neighbours.",
    )
    return {
        name: class_properties(_read(Path(dataset_dir), manifest, rows))
        for name, rows in _rows(manifest, images)
        if name in classes
    }


def _rows(manifest: dict[str, Any], images: int) -> Iterator[tuple[str, list[int]]]:
    """Name and some rows of each class, by number."""
    names = class_names(manifest)
    by_label: dict[int, list[int]] = {}
    for row, entry in enumerate(manifest[PART]):
        if isinstance(entry.get("label"), int) and entry["label"] >= 0:
            by_label.setdefault(entry["label"], []).append(row)
    for label, rows in sorted(by_label.items()):
        chosen = sorted(map(int, seeded_order(map(str, rows), 0)[:images]))
        yield (names[label] if label < len(names) else str(label)), chosen


def _read(
    dataset_dir: Path, manifest: dict[str, Any], rows: Sequence[int]
) -> NDArray[np.floating[Any]]:
    entries = [manifest[PART][row] for row in rows]
    if all("index" in entry for entry in entries):
        return np.asarray(StackDataset(dataset_dir, PART, ()).__getitems__(rows)["image"])
    read = [read_image(dataset_dir / entry["image"]) for entry in entries]
    require(
        len({image.shape for image in read}) == 1 and read[0].ndim == 3,
        f"{dataset_dir}: the images of a class must be 2D and of one size, got "
        f"{sorted({image.shape for image in read})[:3]}. Leave --data out.",
    )
    return np.stack(read)
