"""Four sets of real images in memory, at 32 to 64 pixels, split by patient: the harder questions.

`cifar10` (the JPEG subset, ten classes), `fundus` (retinopathy of grade 2 or more), `kermany`
(bacterial or viral pneumonia) and `lesions` (brain slices with or without an inserted lesion, of
`inserted_lesions`). All come as three channels of 8 bits; grey images three times the same.
"""

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from inserted_lesions import Lesion, write_slices
from PIL import Image
from torch import Tensor

from common.data import load_datalist, seeded_order

Array = np.ndarray
Split = tuple[Array, Array]
FOLDS = 3


class Images(NamedTuple):
    """One data set.

    Attributes:
        x: ``(N, 3, side, side)`` uint8.
        y: ``(N,)`` class from 0.
        group: ``(N,)`` patient, or the image itself.
        splits: rows of the training and of the test part, of one split or of each fold.
    """

    x: Tensor
    y: Array
    group: Array
    splits: list[Split]

    def inner(self, seed: int = 100) -> "Images":
        """The first training part alone, a third of its groups as test part: to fix settings."""
        train, _ = self.splits[0]
        whole = Images(self.x[torch.from_numpy(train)], self.y[train], self.group[train], [])
        return whole._replace(splits=by_group(whole.group, seed)[:1])


def by_group(group: Array, seed: int = 0, folds: int = FOLDS) -> list[Split]:
    """Training and test rows of each fold; a group is in one test part only."""
    order = seeded_order(sorted({str(name) for name in group}), seed)
    fold_of = {name: index % folds for index, name in enumerate(order)}
    fold = np.array([fold_of[str(name)] for name in group])
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]


def picture(file: io.BytesIO | Path, side: int) -> Array:
    with Image.open(file) as image:
        small = image.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def unpacked(archive: Path, names: Sequence[str], side: int) -> Tensor:
    with zipfile.ZipFile(archive) as stored:
        pictures = [picture(io.BytesIO(stored.read(name)), side) for name in names]
    return torch.from_numpy(np.stack(pictures))


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def cifar10(data: Path, out: Path, side: int = 32) -> Images:
    """1,000 training and 300 test photographs of each class, as the source splits them."""
    folder = data / "cifar10_jpeg_subset"
    rows = rows_of(folder)
    x = unpacked(folder / "images.zip", [row["file"] for row in rows], side)
    parts = [
        np.flatnonzero([row["split"] == part for row in rows]).astype(int)
        for part in ("train", "test")
    ]
    y = np.array([int(row["label"]) for row in rows])
    return Images(x, y, np.array([row["file"] for row in rows]), [(parts[0], parts[1])])


def fundus(data: Path, out: Path, side: int = 48) -> Images:
    """593 photographs of 301 patients in three folds; advanced eye disease (no grade) left out."""
    folder = data / "fundus_dr_srahim"
    rows = [row for row in rows_of(folder) if row["dr_grade"] != "5"]
    x = unpacked(folder / "images_256.zip", [row["file"] for row in rows], side)
    y = np.array([int(int(row["dr_grade"]) >= 2) for row in rows])
    patient = np.array([row["file"][len("Patient") :][:3] for row in rows])
    return Images(x, y, patient, by_group(patient))


def kermany(data: Path, out: Path, side: int = 32) -> Images:
    """1,722 films with pneumonia, virus (1) or bacteria (0); a third of the patients are tested.

    The source's two parts may share patients, so patients of one number count as one.
    """
    folder = data / "cxr_kermany_224"
    rows = [r for r in rows_of(folder) if r["subtype"] != "normal" and not r["duplicate_of"]]
    x = unpacked(folder / "images.zip", [row["file"] for row in rows], side)
    y = np.array([int(row["subtype"] == "virus") for row in rows])
    patient = np.array([row["patient"] for row in rows])
    return Images(x, y, patient, by_group(patient)[:1])


def lesions(data: Path, out: Path, side: int = 64) -> Images:
    """2,220 slices of 185 brains, half with a lesion; training and validation patients train.

    Lesions as in strategies.md: radius 4 pixels, contrast 0.25.
    """
    target = out / "slices"
    if not (target / "manifest.json").is_file():
        write_slices(data / "ixi_t1_hh", target, 64, 0, Lesion(4.0, 0.25))
    parts = [load_datalist(target, part) for part in ("training", "validation", "test")]
    entries = [entry for part in parts for entry in part]
    x = torch.from_numpy(np.stack([picture(Path(entry["image"]), side) for entry in entries]))
    y = np.array([int(entry["label"]) for entry in entries])
    patient = np.array([str(entry["patient"]) for entry in entries])
    row, tested = np.arange(len(entries)), len(entries) - len(parts[2])
    return Images(x, y, patient, [(row[:tested], row[tested:])])


SETS: dict[str, Callable[[Path, Path], Images]] = {
    "kermany": kermany,
    "fundus": fundus,
    "lesions": lesions,
    "cifar10": cifar10,
}
