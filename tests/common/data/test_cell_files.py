"""A folder of fields to predict on: the same cells as prepared, and the table of them."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.data import CellFiles, load_datalist
from common.deploy import write_cells
from common.networks import ImageClassifier
from data_prep.__main__ import main

SIZE = 32
pytest.importorskip("skimage")


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("cells") / "phantom"
    options = ["--patients", "12", "--size", str(SIZE), "--workers", "1"]
    assert main(["phantom", "--kind", "cells", "--target", str(target), *options]) == 0
    return target


def read(source: Path, transform: Callable[[Any], Any] = lambda entry: entry) -> CellFiles:
    return CellFiles(source, transform, size=SIZE, nucleus=5)


def test_cells_of_raw_fields_are_those_that_data_prep_stores(phantom: Path, tmp_path: Path) -> None:
    options = ["--compound", "nocodazole", "--size", str(SIZE), "--nucleus", "5", "--workers", "1"]
    raw = ["--source", str(phantom / "raw"), "--target", str(tmp_path / "out")]
    assert main(["cells", *raw, *options]) == 0
    stored = {}
    for entry in [
        e for part in ("training", "test") for e in load_datalist(tmp_path / "out", part)
    ]:
        rows = np.load(tmp_path / "out" / entry["image"], mmap_mode="r")
        key = (entry["site"], entry["row"], entry["column"])
        stored.setdefault(key, []).append(rows[entry["index"]])
    files = read(phantom / "raw" / "Week1")
    cells = [cell for number in range(len(files)) for cell in files[number]]
    found = {cell["name"]: cell["image"].numpy() for cell in cells}
    assert len(files) == 12
    same = 0
    for name, image in found.items():
        row, column = map(int, name[:-1].split("[")[1].split(","))
        pixels = np.rint(np.moveaxis(image, 0, -1) * 255).astype(np.uint8)
        key = (int("00002" in name), row, column)
        same += any(np.array_equal(pixels, other) for other in stored.get(key, []))
    assert same == sum(map(len, stored.values())) > 200


def test_files_that_are_no_field_are_read_as_before_and_broken_fields_say_why(
    phantom: Path, tmp_path: Path
) -> None:
    plate = phantom / "raw" / "Week1" / "Week1_00001"
    for stain in ("w1", "w2", "w4"):
        for name, data in (("a_s1", None), ("b_s1", b"no picture")):
            source = next(plate.glob(f"*_{stain}.tif")).read_bytes()
            (tmp_path / f"{name}_{stain}.tif").write_bytes(data or source)
    (tmp_path / "c_s1_w1.tif").write_bytes(b"")
    (tmp_path / "crop.png").write_bytes(b"")
    files = read(tmp_path, lambda entry: {**entry, "image": torch.zeros(3, SIZE, SIZE)})
    assert [entry["name"] for entry in files.entries] == ["a_s1", "b_s1", "c_s1", "crop.png"]
    good, broken, half, crop = (files[number] for number in range(4))
    assert len(good) > 10
    assert good[0]["name"].startswith("a_s1[")
    assert "b_s1_w1.tif" in broken[0]["reason"]
    assert half[0]["reason"].startswith("c_s1: must have one file of each of three stains")
    assert crop[0]["name"] == "crop.png"


def test_cells_are_told_with_the_nearest_centre_and_its_distance(tmp_path: Path) -> None:
    centres = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    network = ImageClassifier(torch.nn.Flatten(), 2, 2)
    with torch.no_grad():
        network.head.weight.copy_(2 * centres)
        network.head.bias.copy_(-(centres**2).sum(dim=1))
    h = np.array([[0.0, 2.0], [3.0, 3.0]], np.float32)
    np.savez(tmp_path / "embeddings.npz", h=h, name=["plate/B02_s1[40,7]", "crop.png"])
    model: Any = SimpleNamespace(classes=lambda outputs: ["cluster 0", "cluster 1"])
    with write_cells(tmp_path, model, network).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["field", "row_px", "column_px", "cluster", "distance"]
    assert rows == [["plate/B02_s1", "40", "7", "0", "2"], ["crop.png", "", "", "1", "1"]]


@pytest.mark.bad_input("predicting")
def test_no_embeddings_and_no_size_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"embeddings.npz: must hold embeddings, got no such file"):
        write_cells(tmp_path, None, None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^CellFiles: size must be at least 1, got 0"):
        CellFiles(tmp_path, None, size=0)
