"""The comparison of strategies keeps tested patients apart, and reads its curves rightly."""

import importlib
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loaded = importlib.import_module("active_learning")
    monkeypatch.setattr(loaded, "STEPS", (4, 8, 12))
    monkeypatch.setattr(loaded, "AIM", 8)
    monkeypatch.setattr(loaded, "SHOWN", (4, 8))
    monkeypatch.setattr(importlib.import_module("label_curves"), "DRAWS", 20)
    return loaded


def images(module: ModuleType) -> tuple:
    """Sixty images of thirty patients, in three classes that the first feature tells."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 60)
    h = rng.normal(size=(60, 5)) + 2 * y[:, None]
    return module.Images(h, y, np.repeat(np.arange(30), 2).astype(str))


def test_no_patient_waits_for_a_label_and_is_tested(module: ModuleType) -> None:
    data = images(module)
    tested = []
    for seed in range(module.SEEDS):
        pool, test = module.parts(data, seed)
        assert not set(data.patient[pool]) & set(data.patient[test])
        tested += test.tolist()
    assert sorted(tested) == list(range(60))


def test_labels_of_tested_and_of_waiting_images_do_not_move_the_order(module: ModuleType) -> None:
    data = images(module)
    pool, test = module.parts(data, 0)
    chosen = module.order(data, pool, "combined", 8, 0)
    data.y[test] = 0
    data.y[np.delete(pool, chosen)] = 0
    assert module.order(data, pool, "combined", 8, 0) == chosen


def test_the_area_equals_scikit_learns_with_weights(module: ModuleType) -> None:
    rng = np.random.default_rng(0)
    y, told = rng.integers(0, 2, 40), rng.integers(0, 9, (40, 2)) / 9
    weight = rng.integers(0, 3, (5, 40)).astype(float)
    expected = [roc_auc_score(y, told[:, 1], sample_weight=one) for one in weight]
    assert module.aucs(y, told, weight) == pytest.approx(expected)
    several = rng.integers(0, 3, 40)
    rest = np.mean([roc_auc_score(several == k, told[:, k % 2]) for k in range(3)])
    three = told[:, [0, 1, 0]]
    assert module.aucs(several, three, np.ones((1, 40)))[0] == pytest.approx(rest)


def test_labels_are_read_off_between_steps(module: ModuleType) -> None:
    curve = np.array([0.5, 0.6, 0.8])
    assert module.needed(curve, 0.7, (4, 8, 12)) == pytest.approx(10)
    assert module.needed(curve, 0.4, (4, 8, 12)) == 4
    assert math.isinf(module.needed(curve, 0.9, (4, 8, 12)))


def test_a_curve_is_made_to_rise(module: ModuleType) -> None:
    made = module.smoothed(np.array([0.5, 0.7, 0.6, 0.8]), (10, 20, 40, 50))
    assert made == pytest.approx([0.5, 0.575, 0.725, 0.8])


def test_random_needs_as_many_labels_as_it_was_given(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.SETS, "eyes", lambda _: images(module))
    found = module.asked("eyes", tmp_path, tmp_path)
    assert set(found["strategies"]) == {"random", *module.STRATEGIES}
    assert found["strategies"]["random"]["more"][:1] == [0.0]
    assert found["strategies"]["random"]["labels"][0] <= 8
    assert "| margin |" in module.report("eyes", found)
