"""Class folders or a table of one's own pictures become a manifest for any 2D bundle."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.data import StackDataset, load_datalist, read_manifest
from data_prep.__main__ import main
from tests.synthetic import ramp, write_nifti, write_picture

PARTS = ("training", "validation", "test")


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target), "--workers", "1"]
    return main(["folders", *folders, *options])


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        pixels = (
            np.random.default_rng(list(name.encode())).integers(0, 255, (40, 36)).astype(np.uint8)
        )
        write_picture(folder / name, pixels)
    return folder


def counts(folder: Path) -> list[int]:
    return [read_manifest(folder)["counts"][part]["images"] for part in PARTS]


def labels(folder: Path, part: str) -> list[int]:
    return sorted(entry["label"] for entry in load_datalist(folder, part))


def test_two_folders_are_drawn_evenly_over_the_classes(tmp_path: Path) -> None:
    names = [f"sick/{i}.png" for i in range(10)] + [f"well/{i}.png" for i in range(20)]
    options = ("--negative", "well", "--validation", "0.2", "--test", "0.3")
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out", *options) == 0
    assert read_manifest(tmp_path / "out")["classes"]["label"] == ["well", "sick"]
    assert labels(tmp_path / "out", "test") == [0] * 6 + [1] * 3
    assert labels(tmp_path / "out", "validation") == [0] * 4 + [1] * 2


def test_three_pictures_of_each_class_are_enough_for_every_part(tmp_path: Path) -> None:
    names = [f"{k}/{i}.png" for k in "ab" for i in range(3)]
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out") == 0
    assert counts(tmp_path / "out") == [2, 2, 2]


def test_given_parts_are_kept_and_validation_is_drawn_from_training(tmp_path: Path) -> None:
    names = [
        f"{part}/{k}/{i}.png" for part in ("Train", "testing") for k in "ab" for i in range(10)
    ]
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out") == 0
    assert counts(tmp_path / "out") == [18, 2, 20]


def test_without_a_test_folder_the_validation_folder_tests(tmp_path: Path, capsys: Any) -> None:
    names = [f"{part}/{k}/{i}.png" for part in ("train", "val") for k in "ab" for i in range(10)]
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out") == 0
    assert counts(tmp_path / "out") == [18, 2, 20]
    assert "folders: the validation part is the test" in capsys.readouterr().out


def table(tmp_path: Path, text: str) -> Path:
    (tmp_path / "table.csv").write_text(text)
    return tmp_path / "table.csv"


def test_columns_of_any_name_and_groups_are_read_from_a_table(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", *(f"{i}.png" for i in range(4)))
    rows = [f"{i}.png;{i % 2};00{i // 2};{'virus' if i else 'None'}" for i in range(4)]
    given = table(tmp_path, "\n".join(["\ufeffFile name;Dx;ID;Cause", *rows]))
    named = ("--image", "File name", "--label", "dx", "--patient", "id", "--groups", "cause")
    options = ("--labels", str(given), *named, "--class-names", "normal", "pneumonia")
    assert prepare(source, tmp_path / "out", *options) == 0
    manifest = read_manifest(tmp_path / "out")
    assert manifest["classes"]["label"] == ["normal", "pneumonia"]
    entries = [entry for part in PARTS for entry in manifest[part]]
    assert sorted(entry.get("cause", "") for entry in entries) == ["", "virus", "virus", "virus"]
    assert len({entry["patient"] for entry in entries}) == 2


@pytest.mark.parametrize(("overlap", "kept"), [("keep", [2, 0, 2]), ("drop", [1, 0, 2])])
def test_patients_in_two_given_parts_are_kept_or_dropped(
    tmp_path: Path, overlap: str, kept: list[int]
) -> None:
    source = pictures(tmp_path / "in", *(f"{i}.png" for i in range(4)))
    text = (
        "file,label,split,patient\n0.png,0,train,1\n1.png,1,train,2\n2.png,0,test,1\n3.png,1,test,3"
    )
    options = ("--labels", str(table(tmp_path, text)), "--overlap", overlap)
    if overlap == "drop":
        text = text.replace("1.png,1,train,2", "1.png,0,train,2").replace("3.png,1", "3.png,0")
        options = ("--labels", str(table(tmp_path, text)), "--overlap", overlap)
    assert prepare(source, tmp_path / "out", *options) == 0
    assert counts(tmp_path / "out") == kept


def test_folders_in_class_folders_are_patients_if_one_says_so(tmp_path: Path) -> None:
    names = [f"{k}/{k}{p}/{i}.png" for k in "ab" for p in range(5) for i in range(2)]
    source = pictures(tmp_path / "in", *names)
    assert prepare(source, tmp_path / "out", "--patient-folders") == 0
    assert sum(c["patients"] for c in read_manifest(tmp_path / "out")["counts"].values()) == 10


@pytest.mark.parametrize(("kind", "shape"), [("grey", (1, 32, 32)), ("photo", (3, 32, 32))])
def test_stacks_hold_squares_for_bundles_that_read_batches(
    tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    names = [f"{k}/{i}.png" for k in "ab" for i in range(3)]
    options = ("--kind", kind, "--stack", "--size", "32", "--test", "0", "--validation", "0")
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out", *options) == 0
    dataset = StackDataset(tmp_path / "out", "training")
    assert len(dataset) == 6
    assert dataset[0]["image"].shape == shape


def test_a_volume_gives_the_slices_nearest_to_the_middle(tmp_path: Path) -> None:
    for name in ("a/x.nii.gz", "b/y.nii.gz"):
        voxels = np.zeros((36, 40, 9), np.int16)
        voxels[..., 2:7] = np.random.default_rng(len(name)).integers(1, 999, (36, 40, 5))
        write_nifti(tmp_path / "in" / name, voxels)
    assert prepare(tmp_path / "in", tmp_path / "out", "--slices", "3", "--test", "0") == 0
    names = [entry["image"][-7:] for entry in read_manifest(tmp_path / "out")["training"]]
    assert names == ["003.png", "004.png", "005.png"] * 2


def test_several_findings_and_a_bias_are_read_from_a_table(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", *(f"{i}.png" for i in range(3)))
    text = "image,Effusion,lung edema,scanner\n0.png,1,,A\n1.png,0,0.0,B\n2.png,,0,A"
    options = ("--findings", "effusion", "lung edema", "--bias", "scanner", "--test", "0")
    given = ("--labels", str(table(tmp_path, text)), *options, "--validation", "0")
    assert prepare(source, tmp_path / "out", *given) == 0
    manifest = read_manifest(tmp_path / "out")
    columns = ("effusion", "lung_edema", "label", "bias")
    found = sorted(tuple(entry[name] for name in columns) for entry in manifest["training"])
    assert found == [(-1, 0, -1, 0), (0, 0, 0, 1), (1, -1, 1, 0)]
    assert manifest["classes"] == {"label": ["absent", "present"], "site": [], "bias": ["A", "B"]}


BAD: dict[str, tuple[list[str], tuple[str, ...], str]] = {
    "one class": (["a/0.png", "a/1.png"], (), "one folder alone"),
    "no folders": (["0.png", "1.png"], (), "not in exactly one"),
    "nested": (["a/x/0.png", "b/x/1.png"], (), "--patient-folders"),
    "outside": (
        ["train/a/0.png", "train/b/1.png", "test/a/2.png", "c/3.png"],
        (),
        "1 of 4 outside",
    ),
    "untrained": (["train/a/0.png", "train/b/1.png", "test/c/2.png"], (), "none of c"),
    "share": (["a/0.png", "b/1.png"], ("--test", "1"), "--test must be a share"),
    "all": (["a/0.png", "b/1.png"], ("--test", "0.9"), "must leave patients to train on"),
    "names": (["a/0.png", "b/1.png"], ("--class-names", "x", "y"), "--class-names must be left"),
    "column": (["a/0.png", "b/1.png"], ("--patient", "id"), "must name a column of a table"),
    "negative": (["a/0.png", "b/1.png"], ("--negative", "c"), "--negative must be a class"),
    "bits": (["a/0.png", "b/1.png"], ("--kind", "photo", "--bits", "16"), "--bits must be 8"),
}


@pytest.mark.bad_input("folders")
@pytest.mark.parametrize("case", BAD)
def test_bad_folders_end_in_one_line(tmp_path: Path, capsys: Any, case: str) -> None:
    names, options, words = BAD[case]
    assert prepare(pictures(tmp_path / "in", *names), tmp_path / "out", *options) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.bad_input("folders")
def test_an_empty_class_and_a_file_in_two_classes_are_refused(tmp_path: Path, capsys: Any) -> None:
    source = pictures(tmp_path / "in", "a/0.png", "b/1.png")
    (source / "c").mkdir()
    assert prepare(source, tmp_path / "out") == 2
    assert "c: every class folder must hold images" in capsys.readouterr().err
    (source / "c" / "0.png").write_bytes((source / "a" / "0.png").read_bytes())
    assert prepare(source, tmp_path / "out") == 2
    assert "a and c: a picture must lie in one class folder, got 1" in capsys.readouterr().err


TABLES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "missing file": ("image,label\nno.png,1", (), "line 2: image must be a file"),
    "no column": ("image,label\n0.png,1", ("--patient", "id"), "got no id"),
    "age": ("image,label,age\n0.png,1,old", (), "age must be a number of years"),
    "overlap": ("image,label,split,patient\n0.png,1,train,7\n1.png,1,test,7", (), "--overlap"),
    "many groups": (
        "\n".join(["image,label,id", *(f"0.png,1,n{i}" for i in range(51))]),
        ("--groups", "id"),
        "at most 50 values",
    ),
    "finding": ("image,oedema\n0.png,7", ("--findings", "oedema"), "must be 1, 0 or empty"),
    "reserved": ("image,label,age\n0.png,1,3", ("--groups", "age"), "of another name"),
    "folders too": ("image,label\n0.png,1", ("--patient-folders",), "--patient-folders must be"),
}


@pytest.mark.bad_input("folders")
@pytest.mark.parametrize("case", TABLES)
def test_a_bad_table_ends_in_one_line(tmp_path: Path, capsys: Any, case: str) -> None:
    text, options, words = TABLES[case]
    given = ("--labels", str(table(tmp_path, text)), *options)
    assert prepare(pictures(tmp_path / "in", "0.png", "1.png"), tmp_path / "out", *given) == 2
    error = capsys.readouterr().err.strip()
    assert words in error
    assert len(error.splitlines()) == 1


def test_the_same_numbers_reach_a_bundle_from_raw_and_prepared_files(tmp_path: Path) -> None:
    from common.data import PrepareImaged

    write_picture(tmp_path / "in" / "a" / "0.png", ramp(40, 60, 60000))
    write_picture(tmp_path / "in" / "b" / "1.png", ramp(50, 60, 50000))
    assert prepare(tmp_path / "in", tmp_path / "out", "--stack", "--size", "32", "--test", "0") == 0
    manifest = read_manifest(tmp_path / "out")
    see = PrepareImaged(size=32, preparation=manifest["preparation"])
    entries = load_datalist(tmp_path / "out", "training")
    stored = sorted(float(see(entry)["image"].sum()) for entry in entries)
    raw = sorted(
        float(see({"image": str(p)})["image"].sum()) for p in (tmp_path / "in").rglob("*.png")
    )
    np.testing.assert_allclose(stored, raw, rtol=1e-6)


def test_the_class_in_a_photographs_name_is_no_patient(tmp_path: Path) -> None:
    names = [
        f"{part}/{k}/{k}_{i}.png"
        for part in ("train", "val")
        for k in ["a1", "b2"]
        for i in range(10)
    ]
    options = ("--kind", "photo", "--size", "16")
    source = pictures(tmp_path / "in", *names)
    assert prepare(source, tmp_path / "out", *options) == 0
    assert counts(tmp_path / "out") == [18, 2, 20]


def test_real_photographs_are_class_folders(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "cifar10_jpeg_subset"
    if not source.is_dir():
        pytest.skip(f"no photographs in {shared_data}")
    with zipfile.ZipFile(source / "images.zip") as archive:
        chosen = [name for name in archive.namelist() if name.endswith("7.jpg")]
        archive.extractall(tmp_path / "in", members=chosen)
    options = ("--kind", "photo", "--size", "32", "--validation", "0")
    assert prepare(tmp_path / "in", tmp_path / "out", *options) == 0
    assert counts(tmp_path / "out") == [1000, 0, 300]
    assert not read_manifest(tmp_path / "out")["skipped"]
