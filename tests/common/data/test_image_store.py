"""Images in archives: the same pixels through the same doors as images in files."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.data import PrepareImaged, StackDataset, load_datalist, read_manifest, read_preparation
from common.data.image_files import ImageFiles
from common.data.image_store import StoredImages, image_bytes, write_images
from data_prep.__main__ import main


def pictures(folder: Path, count: int = 8, size: tuple[int, int] = (40, 36)) -> Path:
    rng = np.random.default_rng(0)
    for number in range(count):
        path = folder / ("normal", "other")[number % 2] / f"{number // 2}_{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = (*size, 3) if "colour" in folder.name else size
        Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(path)
    return folder


def prepare(command: str, source: Path, target: Path, *options: str) -> int:
    words = [command, "--source", str(source), "--target", str(target), "--workers", "1"]
    return main([*words, *options])


@pytest.mark.parametrize(
    ("name", "command", "options"),
    [
        ("grey", "folders", ["--size", "32"]),
        ("deep", "folders", ["--size", "32", "--bits", "16"]),
        ("films", "chest_xray", ["--size", "32"]),
        ("colour", "folders", ["--kind", "fundus", "--size", "32"]),
        ("colour", "fundus", ["--size", "32"]),
    ],
)
def test_a_store_gives_the_pixels_that_files_give(
    tmp_path: Path, name: str, command: str, options: list[str]
) -> None:
    source, found = pictures(tmp_path / name), []
    labels = [] if command == "folders" else ["--labels", str(tmp_path / "labels.csv")]
    lines = [f"{p.relative_to(source)},{p.parent.name}" for p in sorted(source.rglob("*.png"))]
    (tmp_path / "labels.csv").write_text("\n".join(["image,label", *lines]))
    for target, store in ((tmp_path / "files", []), (tmp_path / "store", ["--store"])):
        assert prepare(command, source, target, *options, *labels, *store) == 0
        kind = "fundus" if name == "colour" else "grey"
        load = PrepareImaged(size=32, preparation=read_preparation(target, kind))
        found.append([(e["patient"], load(e)["image"]) for e in load_datalist(target, "training")])
    assert [who for who, _ in found[0]] == [who for who, _ in found[1]]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(*found))
    assert len(list((tmp_path / "store").glob("*.tar"))) == 1
    assert not (tmp_path / "store" / "images").exists()


def test_a_store_is_a_tar_file_whose_index_is_a_block(tmp_path: Path) -> None:
    content = {f"p{n}/{n}.png": bytes([n]) * (1 + 700 * n) for n in range(5)}
    blocks = write_images(tmp_path / "a.tar", iter(content.items()))
    assert blocks == [0, 2, 5, 9, 15]
    assert [image_bytes(tmp_path / "a.tar", block) for block in blocks] == list(content.values())
    with tarfile.open(tmp_path / "a.tar") as tar:
        assert tar.getnames() == list(content)
    before = (tmp_path / "a.tar").read_bytes()
    write_images(tmp_path / "a.tar", iter(content.items()))
    assert (tmp_path / "a.tar").read_bytes() == before


def test_images_of_one_shape_in_a_store_are_read_in_batches(tmp_path: Path) -> None:
    assert prepare("folders", pictures(tmp_path / "grey"), tmp_path / "out", "--store") == 0
    data = StackDataset(tmp_path / "out", "training")
    batch = data.__getitems__([1, 0])["image"]
    load = PrepareImaged(size=40)
    one = load(load_datalist(tmp_path / "out", "training")[1])["image"]
    assert batch.shape == (2, 1, 40, 36)
    assert np.array_equal(batch[0, 0], one[0, :, 2:38])


def test_a_store_that_was_cut_short_is_prepared_again(tmp_path: Path) -> None:
    source, target = pictures(tmp_path / "grey"), tmp_path / "out"
    assert prepare("folders", source, target, "--store") == 0
    (archive,) = target.glob("*.tar")
    whole = archive.read_bytes()
    archive.write_bytes(whole[:3000])
    with pytest.raises(InputError, match="index must lie in"):
        read_manifest(target)
    assert prepare("folders", source, target, "--store") == 0
    assert archive.read_bytes() == whole


def test_a_key_leads_from_an_archive_to_the_files_of_the_source(tmp_path: Path) -> None:
    source, target = pictures(tmp_path / "grey"), tmp_path / "out"
    (source / "normal" / "9_9.png").write_bytes(b"no picture")
    assert prepare("folders", source, target, "--store", "--key", str(tmp_path / "key.csv")) == 0
    lines = list(csv.DictReader((tmp_path / "key.csv").read_text().splitlines()))
    found = {line["prepared"]: source / line["source"] for line in lines if line["prepared"]}
    assert len(found) == 8
    for name, path in found.items():
        archive, index = name.removesuffix("]").split("[")
        stored = Image.open(io.BytesIO(image_bytes(target / archive, int(index))))
        assert np.array_equal(np.asarray(stored), np.asarray(Image.open(path)))
    assert [line["source"] for line in lines if not line["prepared"]] == ["normal/9_9.png"]


@pytest.mark.parametrize("options", [["--store"], ["--stack"]])
def test_a_folder_of_archives_or_stacks_is_all_its_images(
    tmp_path: Path, options: list[str]
) -> None:
    assert prepare("folders", pictures(tmp_path / "grey"), tmp_path / "out", *options) == 0
    both = ImageFiles([str(tmp_path / "out"), str(tmp_path / "out")], PrepareImaged(size=32))
    assert len(both) == 8


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(("index", "cut"), [(1, None), (99, None), (0, 600), (-1, None)])
def test_no_image_at_a_block_is_one_line(tmp_path: Path, index: int, cut: int | None) -> None:
    write_images(tmp_path / "a.tar", [("a.png", b"x" * 1000)])
    (tmp_path / "a.tar").write_bytes((tmp_path / "a.tar").read_bytes()[:cut])
    with pytest.raises(InputError, match=r"a\.tar: must") as error:
        StoredImages(tmp_path / "a.tar")[index]
    assert "\n" not in str(error.value)


@pytest.mark.bad_input("preparation")
def test_a_store_of_stacks_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = pictures(tmp_path / "grey")
    assert prepare("folders", source, tmp_path / "out", "--store", "--stack") == 2
    assert "must not be given together" in capsys.readouterr().err
