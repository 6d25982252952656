"""The digits phantom: deterministic, biased in training only, readable."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from common.data import (
    PrepareImaged,
    class_names,
    image_datalist,
    read_manifest,
    read_preparation,
)
from data_prep.__main__ import main

PARTS = ("training", "validation", "test")


def make(target: Path, *options: str) -> Path:
    words = ["phantom", "--kind", "digits", "--target", str(target), "--workers", "1"]
    assert main([*words, *options]) == 0
    return target


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("phantom") / "digits")


def test_only_the_training_colours_follow_the_label(phantom: Path) -> None:
    manifest = read_manifest(phantom)
    assert [len(manifest[part]) for part in PARTS] == [720, 120, 360]
    aligned = [np.mean([e["label"] == e["bias"] for e in manifest[part]]) for part in PARTS]
    assert aligned == pytest.approx([0.9, 0.1, 0.1], abs=0.02)
    assert {e["label"] for e in manifest["training"]} == set(range(10))


def test_the_shape_tells_the_digit_where_the_colour_does_not(phantom: Path) -> None:
    manifest = read_manifest(phantom)
    stack = np.load(phantom / "test.npy")
    white = (stack.min(axis=3) / 255.0)[:, ::2, ::2].reshape(len(stack), -1)
    label = np.array([entry["label"] for entry in manifest["test"]])
    fitted = LogisticRegression(max_iter=500).fit(white[:240], label[:240])
    assert fitted.score(white[240:], label[240:]) > 0.5  # chance is 0.1


def test_the_seed_repeats_the_bytes(phantom: Path, tmp_path: Path) -> None:
    again, other = make(tmp_path / "again"), make(tmp_path / "other", "--seed", "1")
    digests = [read_manifest(folder)["sha256"] for folder in (phantom, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_small_phantoms_have_every_part(tmp_path: Path) -> None:
    small = make(tmp_path / "small", "--patients", "6", "--slices", "4", "--size", "16")
    manifest = read_manifest(small)
    assert [len(manifest[part]) for part in PARTS] == [12, 4, 8]
    assert np.load(small / "training.npy").shape == (12, 16, 16, 3)


def test_grey_digits_lie_in_their_cell_of_the_grid(tmp_path: Path) -> None:
    small = ("--patients", "6", "--slices", "4", "--size", "16")
    grid = make(tmp_path / "grid", *small, "--layout", "grid")
    plain = make(tmp_path / "plain", *small, "--layout", "original")
    entries = read_manifest(grid)["training"]
    fields, digits = np.load(grid / "training.npy"), np.load(plain / "training.npy")
    assert (fields.shape, digits.shape) == ((12, 48, 48), (12, 16, 16))
    for entry, field, digit in zip(entries, fields, digits):
        down, right = divmod(entry["cell"], 3)
        cells = field.reshape(3, 16, 3, 16).swapaxes(1, 2)
        assert np.array_equal(cells[down, right], digit)
        assert np.count_nonzero(field) == np.count_nonzero(digit) > 0
    assert "bias" not in entries[0]


@pytest.mark.parametrize("option", ["--patients=5", "--slices=1", "--size=8", "--dims=3"])
def test_a_bad_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    words = ["phantom", "--kind", "digits", "--target", str(tmp_path / "out"), option]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert option.split("=")[0] in line


@pytest.mark.parametrize("options", [(), ("--size", "32")], ids=["digits", "photographs"])
def test_the_phantoms_own_images_are_what_inference_reads(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    words = ["phantom", "--kind", "digits", "--target", str(tmp_path), "--workers", "1"]
    assert main([*words, "--patients", "6", "--slices", "2", *options]) == 0
    manifest = read_manifest(tmp_path)
    actual = image_datalist(tmp_path)
    assert len(actual) == 12
    assert len({entry["name"] for entry in actual}) == 12
    preparation = read_preparation(tmp_path, "photo")
    image = PrepareImaged(size=28, preparation=preparation, channels=3)(actual[0])["image"]
    assert image.shape == (3, 28, 28)
    assert class_names(manifest)[actual[0]["label"]] == str(actual[0]["label"])
