"""The brain-age benchmarks keep test subjects out of everything that is fitted."""

import csv
import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("age_tables")
    monkeypatch.setitem(module.SETTINGS, "steps", 2)
    return module


@pytest.fixture
def brains(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    module = importlib.import_module("brain_age_ixi")
    monkeypatch.setitem(module.SETTINGS, "epochs", 1)
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two sites, 40 rows of 30 subjects, in the layout of the OpenNeuro table."""
    generator = np.random.default_rng(0)
    header = ["sub_id", "age", "sex", "site", "sitenum", "lh_a_thickness", "rh_a_thickness", "eTIV"]
    rows = [
        [f"s{k % 30}", 20 + k, 0, f"ds{k % 30 % 2}", k % 30 % 2, *generator.normal(size=3)]
        for k in range(40)
    ]
    with (tmp_path / "openneuro_thickness_multisite.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return tmp_path


def synthetic(brains: ModuleType) -> tuple:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(50, 1, 8, 8, 8, generator=generator)
    return brains.Brains(maps, np.arange(50) + 20.0, np.arange(50).astype(str))


def test_only_the_measurements_are_features(tables: ModuleType, source: Path) -> None:
    table = tables.load(source, "openneuro")
    assert table.features.shape == (40, 2)
    assert table.sites == ["ds0", "ds1"]


def test_no_subject_is_on_both_sides_of_a_fold(tables: ModuleType, source: Path) -> None:
    table = tables.load(source, "openneuro")
    assert len(set(table.group)) < len(table.group)
    tested = [test for _, test in tables.folds(table)]
    assert sorted(np.concatenate(tested)) == list(range(40))
    for train, test in tables.folds(table):
        assert not set(table.group[train]) & set(table.group[test])


def test_the_inner_folds_hold_training_rows_only(tables: ModuleType, source: Path) -> None:
    table = tables.load(source, "openneuro")
    train, _ = tables.folds(table)[0]
    inner = tables.inner_folds(table, train)
    assert sorted(np.concatenate([validate for _, validate in inner])) == sorted(train)
    for fit, validate in inner:
        assert sorted([*fit, *validate]) == sorted(train)
        assert not set(table.group[fit]) & set(table.group[validate])


@pytest.mark.parametrize("loss", ["l1", "y-aware"])
def test_rows_outside_training_do_not_change_a_network(
    tables: ModuleType, source: Path, loss: str
) -> None:
    table = tables.load(source, "openneuro")
    train, test = tables.folds(table)[0]
    fair = ("released", "age bins", 1.0)
    h, _ = tables.represent(table, train, loss, fair, seed=0)
    table.age[test], table.site[test] = 99.0, 0
    table.features[test[1:]] = 7.0
    again, _ = tables.represent(table, train, loss, fair, seed=0)
    rows = [*train, test[0]]
    assert np.array_equal(h[rows], again[rows])


@pytest.mark.parametrize("model", ["RBF-SVR", "ridge, moved copies", "l1", "L_exp released"])
def test_the_age_of_a_test_subject_is_not_used(brains: ModuleType, model: str) -> None:
    data = synthetic(brains)
    train, test = brains.folds(data, 0)[0]
    before = brains.ages_of(data, train, model, 0)
    data.age[test] += 30
    assert np.array_equal(brains.ages_of(data, train, model, 0)[test], before[test])


def test_the_encoder_of_maps_knows_where_a_feature_is(brains: ModuleType) -> None:
    torch.manual_seed(0)
    encoder = brains.encoder_of_positions((9, 8, 7)).eval()
    x = torch.zeros(2, 1, 9, 8, 7)
    x[0, 0, 2, 4, 4] = x[1, 0, 6, 4, 4] = 1  # one voxel, moved by one step of the strides
    h = encoder(x)
    assert h.shape == (2, brains.SETTINGS["features"])
    assert (h[0] - h[1]).abs().max() > 1e-4


def test_the_width_of_the_kernel_is_reported_for_every_loss(
    tables: ModuleType, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    width = importlib.import_module("kernel_width")
    monkeypatch.setattr(width, "WIDTHS", (2.0, 20.0))
    out = tmp_path / "out"
    words = ["--source", source, "--out", out, "--table", "openneuro", "--seeds", "0"]
    assert width.main([str(word) for word in words]) == 0
    rows = json.loads((out / "kernel_width_openneuro.json").read_text())["rows"]
    assert [(row["sigma"], row["loss"]) for row in rows] == [
        (sigma, loss)
        for sigma in (2.0, 20.0)
        for loss in ("y-aware", "L_exp paper", "L_exp released")
    ]
    released = {row["sigma"]: row for row in rows if row["loss"] == "L_exp released"}
    age = tables.load(source, "openneuro").age
    for sigma, row in released.items():
        weight = np.exp(-((age[:, None] - age) ** 2) / (2 * sigma**2))
        off = weight[~np.eye(len(age), dtype=bool)]
        assert row["pull"] == pytest.approx(off.mean(), abs=1e-3)
    assert released[2.0]["mae"] != released[20.0]["mae"]
