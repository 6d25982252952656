"""Biased-MNIST: which digit gets which colour, and where the digits go."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from common.data import read_manifest
from data_prep.__main__ import main
from data_prep.biased_mnist import COLOURS, assign_colours, colour_digits
from data_prep.digits import mnist
from tests.synthetic import write_mnist

SMALL = 40  # digits of each class
LABELS = np.tile(np.arange(10), SMALL).astype(np.uint8)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small MNIST, packed in part, whose digests are taken as the right ones."""
    pixels = np.random.default_rng(0).integers(0, 3, (len(LABELS), 28, 28), np.uint8)
    for name, digest in write_mnist(tmp_path / "mnist", pixels, LABELS).items():
        monkeypatch.setitem(mnist.DIGESTS, name, digest)
    return tmp_path / "mnist"


def prepare(source: Path, target: Path, *options: str) -> int:
    words = ["biased_mnist", "--source", str(source), "--target", str(target), "--workers", "1"]
    return main([*words, *options])


def test_the_digit_is_white_and_every_zero_pixel_the_colour() -> None:
    image = np.array([[[0, 1], [255, 0]]], np.uint8)
    (observed,) = colour_digits(image, np.array([9]))
    assert observed.tolist() == [[[50, 255, 128], [255] * 3], [[255] * 3, [50, 255, 128]]]
    assert list(COLOURS.values())[3] == (225, 225, 0)


@pytest.mark.parametrize("ratio", [0.1, 0.9, 0.99, 1.0])
def test_each_class_has_its_share_of_its_colour_and_the_others_are_even(ratio: float) -> None:
    label = np.repeat(np.arange(10), 97)
    bias = assign_colours(label, ratio, np.random.default_rng(0))
    for digit in range(10):
        counts = np.bincount(bias[label == digit], minlength=10)
        others = np.delete(counts, digit)
        assert counts[digit] == int(97 * ratio)
        share = -(-others.sum() // 9)
        full = others.sum() // share if share else 0
        assert sorted(others)[9 - full :] == [share] * full  # dealt out in chunks, the last shorter


def test_parts_are_disjoint_and_only_training_is_biased(source: Path, tmp_path: Path) -> None:
    options = ("--ratio", "0.9", "--validation", "100")
    assert prepare(source, tmp_path / "out", *options) == 0
    manifest = read_manifest(tmp_path / "out")
    sizes = {part: len(manifest[part]) for part in ("training", "validation", "test")}
    assert sizes == {"training": 300, "validation": 100, "test": 400}
    aligned = {part: np.mean([e["label"] == e["bias"] for e in manifest[part]]) for part in sizes}
    assert 0.85 < aligned["training"] <= 0.9
    assert aligned["validation"] < 0.11
    assert aligned["test"] == pytest.approx(0.1)
    digits = {e["patient"] for e in manifest["training"] + manifest["validation"]}
    assert len(digits) == 400
    assert manifest["classes"]["bias"][9] == "mint"


def test_a_row_of_the_stack_is_the_entrys_digit(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "out", "--ratio", "0.9", "--validation", "100") == 0
    images, labels = mnist.read_digits(source, training=True)
    stack = np.load(tmp_path / "out" / "training.npy")
    for entry in read_manifest(tmp_path / "out")["training"][::50]:
        digit = int(entry["patient"][1:])
        expected = colour_digits(images[digit : digit + 1], np.array([entry["bias"]]))[0]
        assert entry["label"] == labels[digit]
        assert np.array_equal(stack[entry["index"]], expected)


def test_without_validation_all_training_digits_train(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "out", "--ratio", "0.99", "--validation", "0") == 0
    manifest = read_manifest(tmp_path / "out")
    assert (len(manifest["training"]), manifest["validation"]) == (400, [])


def test_the_seed_repeats_the_bytes_and_another_changes_them(source: Path, tmp_path: Path) -> None:
    options = ("--ratio", "0.9", "--validation", "100")
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert prepare(source, tmp_path / name, *options, "--seed", seed) == 0
    digests = [read_manifest(tmp_path / name)["sha256"] for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ratio", "1.5"), "--ratio must lie in [0.1, 1]"),
        (("--ratio", "0.99", "--validation", "-1"), "--validation must lie in"),
    ],
    ids=["ratio", "validation"],
)
def test_a_bad_option_is_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple, words: str
) -> None:
    assert prepare(source, tmp_path / "out", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("fault", ["missing", "truncated", "other digits"])
def test_a_file_that_is_not_mnist_is_refused(source: Path, tmp_path: Path, fault: str) -> None:
    path = source / "t10k-images-idx3-ubyte.gz"
    data = gzip.decompress(path.read_bytes())
    contents = {"truncated": path.read_bytes()[:500], "other digits": gzip.compress(data[::-1])}
    path.unlink() if fault == "missing" else path.write_bytes(contents[fault])
    rule = {"missing": "got neither", "truncated": "EOFError", "other digits": "got other bytes"}
    with pytest.raises(mnist.InputError, match=rule[fault]):
        mnist.read_digits(source, training=False)


def test_the_real_digits_have_the_published_numbers(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "mnist"
    if not source.is_dir():
        pytest.skip(f"no MNIST in {shared_data}")
    assert prepare(source, tmp_path / "out", "--ratio", "0.99", "--validation", "0") == 0
    manifest = read_manifest(tmp_path / "out")
    counts = np.bincount([entry["label"] for entry in manifest["training"]])
    conflicting = sum(entry["label"] != entry["bias"] for entry in manifest["training"])
    assert conflicting == sum(n - int(n * 0.99) for n in counts)
    assert (len(manifest["training"]), len(manifest["test"])) == (60_000, 10_000)
    assert sum(entry["label"] == entry["bias"] for entry in manifest["test"]) == 996
