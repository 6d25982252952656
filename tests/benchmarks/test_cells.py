"""The comparison on cells keeps fields apart, and its sets are those that the bundle has."""

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("cell_clusters")


def test_no_field_lies_in_two_parts(cells: ModuleType, tmp_path: Path) -> None:
    field = np.repeat(np.arange(20), 3)
    x = np.tile(field[:, None, None, None].astype(np.uint8), (1, 4, 4, 3))
    np.savez(tmp_path / "cells_68_uint8.npz", x=x, y=(field % 2).astype(np.uint8))
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["field"], *([f"f{k}"] for k in field)])
    found = cells.cells_of(tmp_path)
    own = {part: set(images[:, 0, 0, 0].tolist()) for part, (images, _) in found.items()}
    assert [len(own[part]) for part in ("training", "validation", "test")] == [14, 2, 4]
    assert len(set().union(*own.values())) == 20


def test_the_sets_have_the_chances_of_the_bundle(cells: ModuleType) -> None:
    configs = ROOT / "bundles" / "cell_microscopy_ssl" / "configs"
    read = {p.stem: json.loads(p.read_text()) for p in configs.glob("*.json")}
    assert list(cells.SETS["left"]) == read["train"]["left_probability"]
    assert list(cells.SETS["right"]) == read["train"]["right_probability"]
    assert list(cells.SETS["right_whole"]) == read["ablation_right_rotation"]["right_probability"]
    assert list(cells.SETS["set_1"]) == read["strategy_first_set"]["left_probability"]
    assert list(cells.SETS["set_2"]) == read["strategy_second_set"]["left_probability"]
    assert list(cells.ORDER) == read["train"]["transform"]["order"]


def test_intensities_are_those_of_each_stain(cells: ModuleType) -> None:
    x = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    x[0, 1] = torch.tensor([[0, 255], [0, 255]])
    told = cells.intensities(x).reshape(6, 3)
    np.testing.assert_allclose(told[:, 1], [0.5, 1 / 3**0.5, 0, 0.5, 1, 1], atol=1e-6)
    assert not told[:, [0, 2]].any()
