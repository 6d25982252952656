"""Photographs of the retina in memory, cut to the field of view, people in five folds."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from small_images import rows_of
from torch import Tensor

from common.data import seeded_order
from common.data.fundus import read_fundus

Array = np.ndarray
FOLDS = 5


class Eyes(NamedTuple):
    """Photographs cut to the field of view, and the fold of their people."""

    x: Tensor  # (N, 3, image, image) uint8
    centre: Tensor  # (N, 3, side, side) uint8, resized to 8/7 of it and cut
    y: Array  # (N,) 1 = grade 2 or more
    person: Array  # (N,)
    fold: Array  # (N,)


class Parts(NamedTuple):
    """Rows of one seed."""

    train: Array
    validation: Array
    test: Array

    @property
    def rest(self) -> Array:
        """Rows of all but the tested people."""
        return np.concatenate([self.train, self.validation])


def load(data: Path, image: int, side: int) -> Eyes:
    """Read all photographs; persons 299 and 300, whose photographs are the same, count as one."""
    folder = data / "fundus_dr_srahim"
    rows = [row for row in rows_of(folder) if row["dr_grade"] != "5"]
    whole = round(side * 8 / 7)
    border = (whole - side) // 2
    with zipfile.ZipFile(folder / "images_256.zip") as stored:
        files = [(row["file"], stored.read(row["file"])) for row in rows]
    x, centre = (
        np.stack([read_fundus(name, size, io.BytesIO(content))[0] for name, content in files])
        for size in (image, whole)
    )
    centre = centre[:, border : border + side, border : border + side]
    person = np.array([row["file"][len("Patient") :][:3] for row in rows])
    person[person == "300"] = "299"
    y = np.array([int(int(row["dr_grade"]) >= 2) for row in rows])
    first, second = (torch.from_numpy(np.moveaxis(a, 3, 1).copy()) for a in (x, centre))
    return Eyes(first, second, y, person, folds(person))


def folds(person: Array) -> Array:
    order = seeded_order(sorted(set(person.tolist())), seed=0)
    fold_of = {name: index % FOLDS for index, name in enumerate(order)}
    return np.array([fold_of[name] for name in person.tolist()])


def parts(eyes: Eyes, seed: int) -> Parts:
    test, validation = seed % FOLDS, (seed + 1) % FOLDS
    return Parts(
        np.flatnonzero((eyes.fold != test) & (eyes.fold != validation)),
        np.flatnonzero(eyes.fold == validation),
        np.flatnonzero(eyes.fold == test),
    )
