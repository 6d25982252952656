"""The ageing phantom has sites, ages and cases as a brain-age study has them, and is learnable."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.data import StackDataset, read_manifest
from data_prep.__main__ import main
from data_prep.phantom.ageing import SITES, AgeingSubject

OPTIONS = ("phantom", "--kind", "brain", "--dims", "3", "--task", "age", "--workers", "1")


def make(target: Path, *options: str) -> dict[str, Any]:
    assert main([*OPTIONS, "--target", str(target), *options]) == 0
    return read_manifest(target)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ageing") / "out"
    make(target, "--patients", "80", "--size", "16")
    return target


def test_external_sites_are_unseen_and_internal_ones_seen(small: Path) -> None:
    manifest = read_manifest(small)
    sites = {part: {e["site"] for e in manifest[part]} for part in ("training", "validation")}
    assert sites == {"training": {0, 1, 2, 3}, "validation": {0, 1, 2, 3}}
    tests = {
        split: {e["site"] for e in manifest["test"] if e["split"] == split}
        for split in ("internal", "external")
    }
    assert tests == {"internal": {0, 1, 2, 3}, "external": {4, 5, 6}}
    assert len(manifest["classes"]["site"]) == len(SITES) == 7


def test_every_site_has_as_many_cases_as_controls(small: Path) -> None:
    training = read_manifest(small)["training"]
    assert len(training) == 48
    for site in range(4):
        labels = [entry["label"] for entry in training if entry["site"] == site]
        assert sorted(labels) == [0] * 6 + [1] * 6


def test_dataset_gives_volumes_and_columns(small: Path) -> None:
    dataset = StackDataset(small, "test", ("age", "site", "label", "split", "patient"))
    batch = dataset.__getitems__(range(len(dataset)))
    assert batch["image"].shape == (24, 1, 16, 16, 16)
    assert 0 <= float(batch["image"].min()) < float(batch["image"].max()) <= 1
    assert set(batch["split"]) == {"internal", "external"}
    assert len(set(batch["patient"])) == 24
    assert 20 <= float(batch["age"].min()) < float(batch["age"].max()) <= 100


def test_same_seed_gives_the_same_bytes_and_another_seed_others(
    small: Path, tmp_path: Path
) -> None:
    options = ("--patients", "80", "--size", "16")
    assert make(tmp_path / "again", *options)["sha256"] == read_manifest(small)["sha256"]
    other = make(tmp_path / "other", *options, "--seed", "1")["sha256"]
    assert not set(other.values()) & set(read_manifest(small)["sha256"].values())


def test_old_brains_have_more_fluid() -> None:
    def dark(age: float) -> float:
        volumes = [AgeingSubject(i, age, 1, False, 24, 0).draw() for i in range(6)]
        return float(np.mean([(v[6:18, 6:18, 6:18] < 0.35).mean() for v in volumes]))

    assert dark(80) > 1.5 * dark(20) > 0


def test_only_whole_brains_age(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["phantom", "--kind", "brain", "--task", "age", "--target", str(tmp_path / "x")]
    assert main(arguments) == 2
    assert "--kind brain --dims 3" in capsys.readouterr().err


@pytest.mark.slow
def test_voxels_tell_age_better_than_chance_but_do_not_solve_it(tmp_path: Path) -> None:
    make(tmp_path / "out")
    columns = ("age", "site", "label", "split")
    parts = {part: StackDataset(tmp_path / "out", part, columns) for part in ("training", "test")}
    train, test = (parts[part].__getitems__(range(len(parts[part]))) for part in parts)
    x, x_test = (batch["image"].flatten(1).numpy() for batch in (train, test))
    x, x_test = ((a - a.mean(1, keepdims=True)) / a.std(1, keepdims=True) for a in (x, x_test))
    age, truth = train["age"].numpy(), test["age"].numpy()
    internal = np.array(test["split"]) == "internal"
    fit = make_pipeline(StandardScaler(), RidgeCV(10.0 ** np.arange(2, 8))).fit(x, age)
    site = make_pipeline(StandardScaler(), LogisticRegression(C=1e-4, max_iter=2000))
    site.fit(x, train["site"].numpy())
    errors = np.abs(fit.predict(x_test) - truth)
    chance = np.abs(np.median(age) - truth)
    actual = float((site.predict(x_test[internal]) == test["site"].numpy()[internal]).mean())
    figures = [errors[internal], chance[internal], errors[~internal], chance[~internal]]
    print(
        "MAE internal, chance, external, chance; site:", [float(f.mean()) for f in figures], actual
    )
    assert 4 < errors[internal].mean() < 0.85 * chance[internal].mean()
    assert 4 < errors[~internal].mean() < 0.85 * chance[~internal].mean()
    assert actual > 0.4
