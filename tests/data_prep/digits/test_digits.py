"""Grey digits: where each goes, and that nothing is drawn twice."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.data import StackDataset, read_manifest
from data_prep.__main__ import main
from data_prep.digits import in_cells, mnist
from tests.synthetic import write_mnist

LABELS = np.tile(np.arange(10), 30).astype(np.uint8)
PARTS = ("training", "validation", "test")


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pixels = np.random.default_rng(0).integers(1, 256, (len(LABELS), 28, 28), np.uint8)
    for name, digest in write_mnist(tmp_path / "mnist", pixels, LABELS).items():
        monkeypatch.setitem(mnist.DIGESTS, name, digest)
    return tmp_path / "mnist"


def prepare(source: Path, target: Path, *options: str) -> Path:
    words = ["digits", "--source", str(source), "--target", str(target), "--workers", "1"]
    assert main([*words, "--validation", "50", *options]) == 0
    return target


def test_a_digit_goes_into_its_cell_row_by_row_and_the_rest_is_blank() -> None:
    images = np.arange(1, 9, dtype=np.uint8).reshape(2, 2, 2)
    first, second = in_cells(images, np.array([0, 5]))
    assert first[:2, :2].tolist() == [[1, 2], [3, 4]]
    assert second[2:4, 4:6].tolist() == [[5, 6], [7, 8]]
    assert (np.count_nonzero(first), np.count_nonzero(second)) == (4, 4)


def test_a_row_of_the_grid_holds_the_entrys_digit_in_its_cell(source: Path, tmp_path: Path) -> None:
    target = prepare(source, tmp_path / "out")
    images, labels = mnist.read_digits(source, training=True)
    stack = np.load(target / "training.npy")
    manifest = read_manifest(target)
    assert [len(manifest[part]) for part in PARTS] == [250, 50, 300]
    for entry in manifest["training"][::25]:
        digit, (down, right) = int(entry["patient"][1:]), divmod(entry["cell"], 3)
        cells = stack[entry["index"]].reshape(3, 28, 3, 28).swapaxes(1, 2)
        assert entry["label"] == labels[digit]
        assert np.array_equal(cells[down, right], images[digit])
        assert np.count_nonzero(cells) == np.count_nonzero(images[digit])


def test_the_original_layout_is_mnist_as_it_is(source: Path, tmp_path: Path) -> None:
    target = prepare(source, tmp_path / "out", "--layout", "original")
    images, _ = mnist.read_digits(source, training=False)
    entry = read_manifest(target)["test"][7]
    assert np.array_equal(np.load(target / "test.npy"), images)
    assert entry == {"image": "test.npy", "index": 7, "label": 7, "patient": "t00007"}


def test_a_size_enlarges_the_digits_as_inference_would(source: Path, tmp_path: Path) -> None:
    target = prepare(source, tmp_path / "out", "--layout", "original", "--size", "32")
    images, _ = mnist.read_digits(source, training=False)
    wanted = Image.fromarray(images[3].astype(np.float32)).resize((32, 32), Image.BILINEAR)
    stack = np.load(target / "test.npy")
    assert stack.shape == (300, 32, 32)
    np.testing.assert_allclose(stack[3], np.asarray(wanted), atol=0.51)
    assert read_manifest(target)["arguments"]["size"] == 32
    assert np.load(prepare(source, tmp_path / "grid", "--size", "20") / "test.npy").shape[1] == 60


@pytest.mark.bad_input("preparation")
def test_a_size_out_of_range_is_told(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["digits", "--source", str(source), "--target", str(tmp_path / "out"), "--size", "4"]
    assert main(words) != 0
    assert "--size must lie in 8..512, got 4" in capsys.readouterr().err


def test_a_digit_keeps_its_cell_whatever_is_set_aside(source: Path, tmp_path: Path) -> None:
    few, many = prepare(source, tmp_path / "a"), prepare(source, tmp_path / "b", "--validation=90")
    cells = []
    for folder in (few, many):
        manifest = read_manifest(folder)
        entries = manifest["training"] + manifest["validation"]
        cells.append({entry["patient"]: entry["cell"] for entry in entries})
    assert len(cells[0]) == 300
    assert cells[0] == cells[1]


def test_training_and_test_digits_draw_cells_of_their_own(source: Path, tmp_path: Path) -> None:
    manifest = read_manifest(prepare(source, tmp_path / "out"))
    observed = {entry["patient"][1:]: entry["cell"] for entry in manifest["training"]}
    same = [
        observed[key] == e["cell"]
        for e in manifest["test"]
        if (key := e["patient"][1:]) in observed
    ]
    assert np.mean(same) < 0.3  # chance is 1/9
    assert set(observed.values()) == set(range(9))


def test_the_seed_repeats_the_bytes_and_another_changes_them(source: Path, tmp_path: Path) -> None:
    folders = [prepare(source, tmp_path / seed, "--seed", seed[0]) for seed in ("0a", "0b", "1")]
    digests = [read_manifest(folder)["sha256"] for folder in folders]
    assert digests[0] == digests[1] != digests[2]


def test_the_stack_is_read_as_grey_images_with_their_cell(source: Path, tmp_path: Path) -> None:
    target = prepare(source, tmp_path / "out")
    batch = StackDataset(target, "validation", ["label", "cell"]).__getitems__([0, 1])
    assert batch["image"].shape == (2, 1, 84, 84)
    assert set(batch) == {"image", "label", "cell"}


def test_too_many_validation_digits_are_one_line(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["digits", "--source", str(source), "--target", str(tmp_path / "out")]
    assert main([*words, "--validation", "40000"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--validation must lie in 0..30000, got 40000" in line
