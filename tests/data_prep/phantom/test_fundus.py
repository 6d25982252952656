"""The fundus phantom: two eyes of each patient, spots where the label says so."""

from pathlib import Path

import numpy as np
import pytest

from common.data import load_datalist, read_manifest
from common.data.fundus import read_fundus
from data_prep.__main__ import main
from data_prep.phantom.fundus import draw_eye


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("phantom") / "fundus"
    options = ["--kind", "fundus", "--patients", "20", "--size", "48", "--workers", "1"]
    assert main(["phantom", "--target", str(target), *options]) == 0
    return target


def entries(folder: Path) -> list[dict]:
    return [e for part in ("training", "validation", "test") for e in load_datalist(folder, part)]


def test_every_patient_has_two_eyes_and_half_have_spots(phantom: Path) -> None:
    actual = entries(phantom)
    assert len(actual) == 40
    for patient in {e["patient"] for e in actual}:
        assert sorted(e["eye"] for e in actual if e["patient"] == patient) == ["L", "R"]
    assert 14 <= sum(e["label"] for e in actual) <= 26
    assert all((e["grade"] > 0) == bool(e["label"]) for e in actual)
    assert all(e["referable"] == int(e["grade"] >= 2) for e in actual)


def test_it_looks_like_a_fundus_camera(phantom: Path) -> None:
    for entry in entries(phantom)[:4]:
        pixels, actual = read_fundus(entry["image"], 48)
        assert actual
        assert not pixels[0, 0].any()
        red, _, blue = pixels[20:28, 20:28].reshape(-1, 3).mean(0)
        assert red > 1.5 * blue


def test_the_optic_disc_lies_towards_the_nose() -> None:
    for eye, brighter in (("R", slice(32, None)), ("L", slice(None, 32))):
        pixels = draw_eye(np.random.default_rng(0), eye, 64, 0, 50, 0).astype(float)
        assert pixels[26:38, :, 2].max(axis=0).argmax() in range(*brighter.indices(64))


def test_the_same_seed_draws_the_same_eyes(phantom: Path, tmp_path: Path) -> None:
    options = ["--kind", "fundus", "--patients", "6", "--size", "48", "--workers", "1"]
    assert main(["phantom", "--target", str(tmp_path / "few"), *options]) == 0
    few, many = (read_manifest(folder)["sha256"] for folder in (tmp_path / "few", phantom))
    assert few.items() < many.items()


def test_three_dimensions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--kind", "fundus", "--dims", "3", "--target", str(tmp_path / "x")]
    assert main(["phantom", *arguments]) == 2
    assert "--dims must be 2" in capsys.readouterr().err
