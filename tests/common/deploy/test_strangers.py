"""A model that knows its training images refuses or warns of what is unlike them."""

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import common
from common.checks import InputError
from common.deploy import Predictor
from common.deploy.expected import Expected
from common.deploy.familiarity import Familiarity
from common.deploy.loading import reader
from common.deploy.prediction import Seen
from tests.models import BRAINS, FILMS, SLICES, deployed
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture


def slices(count: int, seed: int) -> list[np.ndarray]:
    """Discs of noise on black, a new one each."""
    generator = np.random.default_rng(seed)
    rows = np.linspace(-1, 1, 16)
    disc = rows[:, None] ** 2 + rows**2 < 0.7
    return [
        (disc * generator.uniform(100, 255, (16, 16)) * generator.uniform(0.6, 1)).astype(np.uint8)
        for _ in range(count)
    ]


def written(folder: Path, pictures: list[np.ndarray]) -> Path:
    for number, picture in enumerate(pictures):
        write_picture(folder / f"{number:03d}.png", picture)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model of brain slices that knows 200 discs."""
    folder = tmp_path_factory.mktemp("plain")
    plain = common.load(SLICES, deployed(folder / "model"))
    training, held_out = slices(200, 0), slices(100, 1)
    h = [
        plain.embed(written(folder / name, pictures)).h
        for name, pictures in (("a", training), ("b", held_out))
    ]
    familiarity = Familiarity.fit(*h)
    expected = Expected.gather([np.stack(training)[:, None] / 255], [], ("MR",))
    assert familiarity is not None
    known = {"expects": expected.record(), "familiarity": familiarity.record()}
    return deployed(tmp_path_factory.mktemp("known"), SLICES, **known)


def test_an_image_like_those_of_training_has_no_warning(
    predictor: Predictor, tmp_path: Path
) -> None:
    actual = predictor.predict(written(tmp_path, slices(20, 2)))
    assert np.mean([one.columns["warning"] == "" for one in actual]) >= 0.85
    assert np.median([float(one.columns["familiarity"]) for one in actual]) > 10


@pytest.mark.bad_input("strangers")
def test_an_inverted_image_is_predicted_with_a_warning(
    predictor: Predictor, tmp_path: Path
) -> None:
    (actual,) = predictor.predict(written(tmp_path, [255 - slices(1, 3)[0]]))
    assert "probability_lesion" in actual.values
    assert "the middle darker" in str(actual.columns["warning"])


@pytest.mark.bad_input("strangers")
def test_an_embedding_that_lies_apart_is_warned_of_before_all_else(predictor: Predictor) -> None:
    h = np.full((1, predictor.network.head.in_features), 1e4, np.float32)
    observed = Seen([{"facts": {"colour": True}}], torch.rand(1, 1, 16, 16), h, h[:, :1], ["age"])
    columns = dict(item for make in predictor.columns for item in make(observed).items())
    assert float(columns["familiarity"][0]) < 0.01
    first, second = str(columns["warning"][0]).split("; ")[:2]
    assert first.startswith("unlike the training images (familiarity below 0.01 %)")
    assert second == "a colour picture, training: grey"


@pytest.mark.bad_input("strangers")
def test_a_colour_picture_is_warned_of_and_opened_once(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    open_ = Image.open
    monkeypatch.setattr(Image, "open", lambda file: opened.append(file) or open_(file))
    red = np.stack([slices(1, 3)[0], *[np.zeros((16, 16), np.uint8)] * 2], axis=2)
    (actual,) = predictor.predict(written(tmp_path, [red]))
    assert "a colour picture, training: grey" in str(actual.columns["warning"])
    assert len(opened) == 1


@pytest.mark.bad_input("strangers")
def test_an_ultrasound_is_listed_and_the_others_are_predicted(
    predictor: Predictor, tmp_path: Path
) -> None:
    write_dicom(tmp_path / "in" / "a.dcm", ramp(16, 16), Modality="US")
    write_dicom(tmp_path / "in" / "b.dcm", ramp(16, 16), Modality="MR")
    predictor.dataset = predictor.dataset.of(tmp_path / "in")
    predictor.output_dir = tmp_path / "out"
    predictor.run()
    with (tmp_path / "out" / "skipped.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == "a.dcm"
    assert "must be MRI, which the model was trained on, got ultrasound" in row["reason"]
    with (tmp_path / "out" / "predictions.csv").open() as file:
        (kept,) = csv.DictReader(file)
    assert kept["file"] == "b.dcm"
    assert {"familiarity", "warning"} <= set(kept)


@pytest.mark.bad_input("strangers")
def test_an_unprepared_head_and_a_film_are_refused_by_a_model_of_prepared_brains(
    tmp_path: Path,
) -> None:
    grid = np.random.default_rng(0).uniform(size=(30, 1, 5, 6, 7))
    expects = Expected.gather([grid], [], ("MR",)).record()
    predictor = common.load(BRAINS, deployed(tmp_path / "m", BRAINS, expects=expects))
    head = tmp_path / "head.nii.gz"
    write_nifti(head, np.arange(729, dtype=np.float32).reshape(9, 9, 9))
    brain = write_nifti(tmp_path / "b.nii.gz", np.arange(210, dtype=np.float32).reshape(5, 6, 7))
    film = write_picture(tmp_path / "film.png", ramp(16, 16, 255).astype(np.uint8))
    actual = predictor.predict([head, film, brain])
    assert "5 x 6 x 7 voxels of the prepared training images, got 9 x 9 x 9" in actual[0].reason
    assert "must be a volume" in actual[1].reason
    assert actual[2].reason == ""
    assert "grey values unlike" in str(actual[2].columns["warning"])


@pytest.mark.bad_input("strangers")
def test_preprocessing_of_films_refuses_a_volume_in_tools_that_read_nothing_else(
    tmp_path: Path,
) -> None:
    expects = Expected.gather([np.random.default_rng(0).uniform(size=(30, 1, 8, 8))], [], ("DX",))
    films = deployed(tmp_path / "m", FILMS, expects=expects.record())
    prepare = reader(FILMS, films, "cpu").dataset.transform.transform.transforms[0]
    volume = np.random.default_rng(0).random((9, 8, 7), np.float32)
    write_nifti(tmp_path / "head.nii.gz", volume)
    for image in (tmp_path / "head.nii.gz", volume, volume[None]):
        with pytest.raises(InputError, match="must be a 2D image, as the training images were"):
            prepare({"image": image})
    film = write_picture(tmp_path / "film.png", ramp(16, 16, 255).astype(np.uint8))
    assert prepare({"image": film})["image"].shape == (1, 32, 32)


def test_a_model_that_knows_nothing_of_its_training_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        predictor = common.load(SLICES, deployed(tmp_path / "m"))
    assert "strangers are not told" in caplog.text
    (actual,) = predictor.predict(written(tmp_path / "in", slices(1, 3)))
    assert "familiarity" not in actual.columns
