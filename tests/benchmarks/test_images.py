"""The comparison on real images keeps patients apart and computes what it says."""

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("decoupled_uniformity_images")


def images(load: ModuleType, count: int = 60) -> object:
    """Noise, in which the second class is brighter; two images of each patient."""
    rng = np.random.default_rng(0)
    y = np.arange(count) // 2 % 2
    x = rng.integers(0, 120, (count, 3, 32, 32)) + 60 * y[:, None, None, None]
    group = np.array([f"p{k // 2}" for k in range(count)])
    splits = importlib.import_module("small_images").by_group(group)
    return load.Images(torch.from_numpy(x.astype(np.uint8)), y, group, splits)


def test_no_patient_is_in_both_parts_of_a_fold_and_every_image_is_tested_once(
    load: ModuleType,
) -> None:
    data = images(load)
    tested = np.concatenate([test for _, test in data.splits])
    assert sorted(tested) == list(range(60))
    for train, test in [*data.splits, *data.inner().splits]:
        assert not set(data.group[train]) & set(data.group[test])
    inner = data.inner()
    assert set(inner.group) == set(data.group[data.splits[0][0]])


def test_the_figure_is_the_area_under_the_curve_and_draws_are_of_whole_patients(
    load: ModuleType,
) -> None:
    scored, data = importlib.import_module("scored_runs"), images(load)
    rng = np.random.default_rng(1)
    scores = [rng.normal(size=len(test)).round(1) for _, test in data.splits]
    expected = [roc_auc_score(data.y[test], s) for (_, test), s in zip(data.splits, scores)]
    assert scored.figure(data, scores) == pytest.approx(np.mean(expected))
    for fold, rows in enumerate(next(scored.draws(data))):
        counts = np.bincount(rows, minlength=20)
        assert counts[0::2].tolist() == counts[1::2].tolist(), f"fold {fold}"


def test_descriptions_are_fitted_on_training_images_alone(load: ModuleType) -> None:
    data, priors = images(load), importlib.import_module("image_priors")
    train, test = data.splits[0]
    changed = data.x.clone()
    changed[torch.from_numpy(test)] = 255 - changed[torch.from_numpy(test)]
    for describe in (
        lambda x: priors.pixels(x, train, 5),
        lambda x: priors.patch_features(x, train, 0, atoms=8, components=4),
        lambda x: priors.vae_latents(x, train, 0, epochs=1, latent=3),
    ):
        one, other = describe(data.x), describe(changed)
        np.testing.assert_allclose(one[train], other[train], rtol=0, atol=1e-4)
        assert np.abs(one[test] - other[test]).max() > 1e-3


def test_every_model_trains_and_finished_runs_are_kept(load: ModuleType, tmp_path: Path) -> None:
    comparison = load.Comparison("kermany", images(load), tmp_path, 1.0)
    comparison.size, comparison.epochs, comparison.vae_epochs = 16, 1, 1
    for model in load.MODELS:
        (first, *_) = comparison.run(model, "all", 0)
        assert np.isfinite(first).all()
        written = (tmp_path / "kermany" / f"{model} all 0.json").stat().st_mtime_ns
        comparison.run(model, "all", 0)
        assert (tmp_path / "kermany" / f"{model} all 0.json").stat().st_mtime_ns == written
