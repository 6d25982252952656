"""Published layouts of photographs, built small, and what becomes of them."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.data import read_manifest
from common.data.photo import square
from data_prep.__main__ import main
from data_prep.photos.cifar import Batch, read_batch
from data_prep.photos.layouts import CLASS_OF_SYNSET, NINE
from tests.keys import key_of, reasons
from tests.synthetic import write_picture

PARTS = ("training", "validation", "test")
CAT, DOG = "n02123045", "n02085620"


def prepare(source: Path, target: Path, *options: str) -> int:
    words = ["photos", "--source", str(source), "--target", str(target), "--workers", "1"]
    return main([*words, "--key", str(key_of(target)), *options])


def manifest(source: Path, target: Path, *options: str) -> dict[str, Any]:
    assert prepare(source, target, *options) == 0
    return read_manifest(target)


def sizes(content: dict[str, Any]) -> tuple[int, ...]:
    return tuple(len(content[part]) for part in PARTS)


def pixels(seed: int, height: int = 40, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def records(count: int, labels: int, seed: int = 0) -> bytes:
    """CIFAR's binary layout: label bytes (the last one row % 10), then planes."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 256, (count, labels + 3072), np.uint8)
    rows[:, 0] = 7
    rows[:, labels - 1] = np.arange(count) % 10
    return rows.tobytes()


def test_cifar_10_binary_keeps_pixels_and_labels(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        (folder / f"{name}.bin").write_bytes(records(10, 1, number))
    content = manifest(tmp_path / "in", tmp_path / "out", "--kind", "cifar10")
    assert sizes(content) == (45, 5, 10)
    (entry,) = (e for e in content["test"] if e["index"] == 3)
    row = np.frombuffer((folder / "test_batch.bin").read_bytes(), np.uint8).reshape(10, -1)[3]
    assert entry["label"] == 3
    stack = np.load(tmp_path / "out" / entry["image"])
    assert stack[3, 0, 1].tolist() == [row[1 + 1], row[1 + 1024 + 1], row[1 + 2048 + 1]]
    assert content["classes"]["label"][3] == "cat"


def test_cifar_100_takes_the_fine_label(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("train", "test"):
        (tmp_path / "in" / f"{name}.bin").write_bytes(records(20, 2))
    content = manifest(tmp_path / "in", tmp_path / "out", "--kind", "cifar100", "--validation", "0")
    assert sizes(content) == (20, 0, 20)
    assert [entry["label"] for entry in content["test"]] == [i % 10 for i in range(20)]
    first = np.frombuffer((tmp_path / "in" / "test.bin").read_bytes(), np.uint8)[0]
    assert content["test"][0]["superclass"] == f"superclass {first}"


def test_cifar_100_pickles_are_read_too(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "cifar-100-python"
    folder.mkdir(parents=True)
    data = np.arange(2 * 3072, dtype=np.uint32).astype(np.uint8).reshape(2, 3072)
    for name in ("train", "test"):
        content = {b"data": data, b"fine_labels": [4, 99], b"coarse_labels": [0, 1]}
        (folder / name).write_bytes(pickle.dumps(content))
    names = {b"fine_label_names": [b"apple"] * 100, b"coarse_label_names": [b"fish", b"flowers"]}
    (folder / "meta").write_bytes(pickle.dumps(names))
    made = manifest(tmp_path / "in", tmp_path / "out", "--kind", "cifar100", "--validation", "0")
    assert [entry["label"] for entry in made["training"]] == [4, 99]
    assert [entry["superclass"] for entry in made["training"]] == ["fish", "flowers"]
    stack = np.load(tmp_path / "out" / "train.npy")
    assert np.array_equal(stack, data.reshape(2, 3, 32, 32).transpose(0, 2, 3, 1))


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize(
    ("pixels", "labels"),
    [
        (np.full((2, 3072), 0.5), [0, 1]),
        (np.full((2, 3072), 300), [0, 1]),
        (np.zeros((2, 3072), np.uint8), [0, 1.5]),
    ],
    ids=["floats", "more than a byte", "fractions"],
)
def test_a_pickle_of_other_numbers_is_refused(tmp_path: Path, pixels: Any, labels: Any) -> None:
    (tmp_path / "train").write_bytes(pickle.dumps({b"data": pixels, b"fine_labels": labels}))
    with pytest.raises(InputError, match="must hold 3072 bytes for each image and whole numbers"):
        read_batch(Batch(tmp_path / "train", "training", "cifar100", 0))


def test_a_pickle_that_would_run_code_is_skipped_unrun(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("train", "test"):
        (tmp_path / "in" / name).write_bytes(pickle.dumps({b"x": shutil.rmtree}))
    assert prepare(tmp_path / "in", tmp_path / "out", "--kind", "cifar100") == 2


def folders(source: Path, names: tuple[str, ...], parts: tuple[str, ...], count: int = 4) -> Path:
    for part in parts:
        for name in names:
            for index in range(count):
                write_picture(source / part / name / f"{index}.png", pixels(index))
    return source


@pytest.mark.bad_input("preparation")
def test_folders_of_parts_go_by_any_of_their_names(tmp_path: Path, capsys: Any) -> None:
    for part in ("Train", "validation", "TEST"):
        for number in range(2):
            write_picture(tmp_path / "in" / part / DOG / f"{number}.png", pixels(number))
    content = manifest(tmp_path / "in", tmp_path / "out", "--kind", "imagenet9")
    assert sizes(content) == (2, 2, 2)
    (tmp_path / "in" / "val").mkdir()
    assert prepare(tmp_path / "in", tmp_path / "b", "--kind", "imagenet9") == 2
    assert "one folder for validation, got val and validation" in capsys.readouterr().err


def test_square_scales_the_shorter_side_and_cuts_the_middle() -> None:
    image = np.zeros((8, 24, 3), np.uint8)
    image[:, 8:16] = 200
    assert square(Image.fromarray(image), 8).tolist() == np.full((8, 8, 3), 200).tolist()
    assert square(Image.fromarray(image), 4).shape == (4, 4, 3)


def test_a_broken_photo_is_listed_and_its_row_left_out(tmp_path: Path) -> None:
    source = folders(tmp_path / "in", (CAT, DOG), ("train",), 3)
    (source / "train" / CAT / "1.png").write_bytes(b"\x89PNG no")
    options = ("--kind", "imagenet9", "--size", "16", "--validation", "0")
    content = manifest(source, tmp_path / "out", *options)
    assert [entry["index"] for entry in content["training"]] == list(range(5))
    ((name, reason),) = reasons(tmp_path / "out").items()
    assert name == f"train/{CAT}/1.png"
    assert ": must be a whole picture" in reason
    assert "1.png" not in reason


def test_nine_imagenet_classes_are_made_of_42_synsets(tmp_path: Path) -> None:
    assert (len(CLASS_OF_SYNSET), len(NINE)) == (42, 9)
    names = ("n02085620", "n02123045", "n01440764")  # a dog, a cat, a tench
    source = folders(tmp_path / "in", names, ("train", "val"), 2)
    options = ("--kind", "imagenet9", "--size", "16", "--validation", "0")
    content = manifest(source, tmp_path / "out", *options)
    assert [entry["label"] for entry in content["training"]] == [0, 0, 1, 1]


@pytest.mark.bad_input("labels")
def test_a_number_in_a_name_that_is_no_class_is_refused(tmp_path: Path, capsys: Any) -> None:
    for folder in ("1pct/align", "1pct/conflict", "1pct/valid", "test"):
        write_picture(tmp_path / "in" / folder / "0" / "1_0_0.png", pixels(0, 32))
    write_picture(tmp_path / "in" / "test" / "0" / "2_0_99999999999.png", pixels(0, 32))
    options = ("--kind", "corrupted_cifar10", "--ratio", "1pct")
    assert prepare(tmp_path / "in", tmp_path / "out", *options) == 2
    assert "label and bias below 1000, got another name" in capsys.readouterr().err


def test_a_table_gives_the_bias(tmp_path: Path, capsys: Any) -> None:
    source = folders(tmp_path / "in", (CAT, DOG), ("train", "test"), 1)
    table = tmp_path / "bias.csv"
    table.write_text(f"file,bias\ntest/{CAT}/0.png,wood\ntest/{DOG}/0.png,grass\nx.png,wood\n")
    options = ("--kind", "imagenet9", "--size", "16", "--validation", "0", "--bias", str(table))
    content = manifest(source, tmp_path / "out", *options)
    assert [entry["bias"] for entry in content["test"]] == [0, 1]
    assert "bias" not in content["training"][0]
    assert content["classes"]["bias"] == ["grass", "wood"]
    message = capsys.readouterr().out
    assert "bias.csv: 2 images have no bias" in message
    assert "bias.csv: 1 rows name no image of this layout" in message


@pytest.mark.parametrize("kind", ["corrupted_cifar10", "bffhq"])
def test_biased_sets_take_label_and_bias_from_the_name(tmp_path: Path, kind: str) -> None:
    source, top = tmp_path / "in", tmp_path / "in" / "1pct"
    inner = "1" if kind == "corrupted_cifar10" else ""
    valid = top / "valid" if kind == "corrupted_cifar10" else source / "valid"
    write_picture(top / "align" / "0" / "5_0_0.png", pixels(0, 32))
    write_picture(top / "conflict" / "0" / "6_0_1.png", pixels(1, 32))
    write_picture(valid / inner / "7_1_0.png", pixels(2, 32))
    write_picture(source / "test" / inner / "8_1_1.png", pixels(3, 32))
    content = manifest(source, tmp_path / "out", "--kind", kind, "--ratio", "1pct")
    observed = {part: [(e["label"], e["bias"]) for e in content[part]] for part in PARTS}
    assert observed == {"training": [(0, 0), (0, 1)], "validation": [(1, 0)], "test": [(1, 1)]}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--kind", "cifar10"), "must hold cifar-10-batches-bin or cifar-10-batches-py"),
        (("--kind", "bffhq"), "--ratio must name one of its folders (none found)"),
        (("--kind", "imagenet9"), "must hold train/<class>"),
        (("--kind", "cifar10", "--size", "64"), "--size must be 32"),
        (("--kind", "imagenet9", "--ratio", "1pct"), "--ratio must be left out"),
        (("--kind", "cifar10", "--validation", "-1"), "--validation must be >= 0"),
    ],
)
def test_a_bad_source_or_option_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], words: str
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    assert prepare(source, tmp_path / "out", *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_workers_do_not_change_the_output(tmp_path: Path) -> None:
    source = folders(tmp_path / "in", (CAT, DOG), ("train", "test"), 3)
    words = ["photos", "--source", str(source), "--kind", "imagenet9", "--size", "16"]
    for name, workers in (("a", "1"), ("b", "2")):
        assert main([*words, "--target", str(tmp_path / name), "--workers", workers]) == 0
    first, second = (read_manifest(tmp_path / name) for name in "ab")
    assert first["sha256"] == second["sha256"]
    assert first["training"] == second["training"]
