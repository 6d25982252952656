"""The phantom is deterministic, structured by patient, and learnable but not trivial."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from common.data import load_datalist, read_image, read_manifest
from common.networks import ConvEncoder
from data_prep.__main__ import main
from data_prep.phantom import KINDS


def make(target: Path, *options: str) -> Path:
    assert main(["phantom", "--target", str(target), "--workers", "1", *options]) == 0
    return target


@pytest.fixture(scope="module", params=sorted(KINDS))
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("phantom") / request.param
    return make(target, "--kind", request.param, "--patients", "10", "--size", "48")


def all_entries(folder: Path) -> list[dict]:
    return [e for part in ("training", "validation", "test") for e in load_datalist(folder, part)]


def test_half_of_each_patients_images_have_a_lesion_with_its_mask(small: Path) -> None:
    entries = all_entries(small)
    for patient in {entry["patient"] for entry in entries}:
        labels = [entry["label"] for entry in entries if entry["patient"] == patient]
        assert sum(labels) == len(labels) // 2 > 0
    assert all(("mask" in entry) == bool(entry["label"]) for entry in entries)


def test_masks_are_small_and_lie_on_bright_or_dark_tissue_only(small: Path) -> None:
    for entry in all_entries(small):
        if entry["label"]:
            mask = read_image(entry["mask"])[0]
            assert set(np.unique(mask)) == {0.0, 1.0}
            assert 0.002 < mask.mean() < 0.04


def test_sites_and_ages_vary_and_belong_to_the_patient(small: Path) -> None:
    entries = all_entries(small)
    facts = {(entry["patient"], entry["age"], entry["site"]) for entry in entries}
    assert len(facts) == 10
    assert {site for _, _, site in facts} <= {0, 1, 2}
    assert len({site for _, _, site in facts}) > 1
    assert all(20 <= age <= 80 for _, age, _ in facts)


def test_first_patients_stay_when_more_are_drawn(tmp_path: Path) -> None:
    options = ("--kind", "brain", "--size", "32", "--slices", "2")
    few = read_manifest(make(tmp_path / "few", *options, "--patients", "6"))["sha256"]
    many = read_manifest(make(tmp_path / "many", *options, "--patients", "7"))["sha256"]
    assert few.items() < many.items()


def test_seed_changes_every_image(tmp_path: Path) -> None:
    options = ("--kind", "brain", "--size", "32", "--slices", "2", "--patients", "6")
    one, two = (
        read_manifest(make(tmp_path / seed, *options, "--seed", seed))["sha256"]
        for seed in ("0", "1")
    )
    images = [name for name in one if name.startswith("images/")]
    assert all(one[name] != two[name] for name in images)


def test_volumes_hold_one_lesion_in_half_of_the_patients(tmp_path: Path) -> None:
    make(tmp_path / "v", "--kind", "brain", "--dims", "3", "--patients", "6", "--size", "32")
    entries = all_entries(tmp_path / "v")
    assert sum(entry["label"] for entry in entries) == 3
    for entry in entries:
        assert read_image(entry["image"]).shape == (1, 32, 32, 32)
        if entry["label"]:
            assert read_image(entry["mask"]).sum() > 5


def test_contrast_changes_the_images_with_a_lesion_alone(tmp_path: Path) -> None:
    options = ("--kind", "brain", "--size", "32", "--slices", "2", "--patients", "6")
    plain, clear = make(tmp_path / "p", *options), make(tmp_path / "c", *options, "--contrast=0.5")
    before, after = (read_manifest(folder)["sha256"] for folder in (plain, clear))
    entries = all_entries(plain)
    changed = {name for name in before if before[name] != after[name]}
    message = {e["image"].removeprefix(f"{plain}/") for e in entries if e["label"]}
    assert changed == message


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize("contrast", ["0", "-1", "1.5", "nan"])
def test_a_contrast_outside_its_range_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], contrast: str
) -> None:
    arguments = ["phantom", "--kind", "brain", f"--contrast={contrast}"]
    assert main([*arguments, "--target", str(tmp_path / "x")]) == 2
    assert "--contrast must be in (0, 1]" in capsys.readouterr().err


def test_chest_has_no_volume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["phantom", "--kind", "chest", "--dims", "3", "--target", str(tmp_path / "x")]
    assert main(arguments) == 2
    assert "--dims must be 2" in capsys.readouterr().err


def arrays(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    entries = load_datalist(folder, part)
    images = np.stack([read_image(entry["image"]) for entry in entries])
    return images, np.array([entry["label"] for entry in entries])


def linear_auc(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    mean, spread = train.mean(0), train.std(0) + 1e-3
    fit = LogisticRegression(C=0.01, max_iter=2000)
    fit.fit(((train - mean) / spread).reshape(len(train), -1), labels)
    scores = fit.decision_function(((test - mean) / spread).reshape(len(test), -1))
    return float(roc_auc_score(truth, scores))


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_pixels_and_an_untrained_encoder_do_not_solve_it_but_a_small_network_does(
    kind: str, tmp_path: Path
) -> None:
    folder = make(tmp_path / kind, "--kind", kind)
    (x, y), (x_test, y_test) = (arrays(folder, part) for part in ("training", "test"))
    torch.manual_seed(0)
    encoder = ConvEncoder(channels=(8, 16, 32, 64))
    with torch.no_grad():
        h, h_test = (encoder.eval()(torch.from_numpy(a)).numpy() for a in (x, x_test))
    figures = {
        "pixels": linear_auc(x, y, x_test, y_test),
        "untrained": linear_auc(h, y, h_test, y_test),
    }
    network = torch.nn.Sequential(encoder, torch.nn.Linear(64, 1))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(14):
        network.train()
        for batch in torch.randperm(len(x)).split(32):
            images = torch.from_numpy(x[batch.numpy()])
            flips = [axis for axis in (-1, -2) if torch.rand(()) < 0.5]
            logits = network(images.flip(flips))[:, 0]
            targets = torch.from_numpy(y[batch.numpy()]).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        scores = network.eval()(torch.from_numpy(x_test))[:, 0].numpy()
    figures["trained"] = float(roc_auc_score(y_test, scores))
    print(kind, figures)
    assert figures["pixels"] < 0.75
    assert figures["untrained"] < 0.75
    assert figures["trained"] > 0.85
