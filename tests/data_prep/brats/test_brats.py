"""BraTS volumes become labelled slices, patient by patient, in every layout."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from common.data import image_datalist, load_datalist, read_image, read_manifest
from common.data.datalist import image_slices
from data_prep.__main__ import main
from data_prep.brats import find_scans
from tests.keys import key_of, reasons
from tests.synthetic import write_brats, write_nifti


def prepare(source: Path, target: Path, *options: str) -> int:
    folders = ["--source", str(source), "--target", str(target)]
    return main(["brats", *folders, "--key", str(key_of(target)), "--workers", "1", *options])


def all_entries(folder: Path) -> list[dict]:
    return [e for part in ("training", "validation", "test") for e in load_datalist(folder, part)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for index in range(5):
        write_brats(tmp_path / "source", f"BraTS20_Training_{index:03d}", tumour=index != 4)
    return tmp_path / "source"


def test_slices_equal_what_the_reader_gives_for_the_volume(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "out", "--modalities", "flair,t1") == 0
    expected = []
    for case in source.iterdir():
        (volume,) = image_datalist(case / f"{case.name}_flair.nii.gz")
        for entry in image_slices(volume):
            flair = read_image(entry["image"], entry["slice"])
            t1 = read_image(entry["image"].replace("flair", "t1"), entry["slice"])
            expected.append(np.concatenate([flair, t1]))
    images = [
        np.concatenate([read_image(p) for p in e["image"]]) for e in all_entries(tmp_path / "out")
    ]
    assert len(images) == len(expected) == 5 * 7
    key = lambda image: tuple(np.rint(image[0, 5] * 1e4))  # noqa: E731 - a sort key
    for image, other in zip(sorted(images, key=key), sorted(expected, key=key)):
        np.testing.assert_allclose(image, other, atol=1 / 65535)


def test_label_says_whether_the_mask_has_tumour(source: Path, tmp_path: Path) -> None:
    assert prepare(source, tmp_path / "out") == 0
    entries = all_entries(tmp_path / "out")
    assert sum(entry["label"] for entry in entries) == 4 * 2
    assert all(("mask" in entry) == bool(entry["label"]) for entry in entries)
    for entry in entries:
        if entry["label"]:
            assert read_image(entry["mask"])[0].sum() == 3 * 3


def test_black_slices_are_left_out_and_one_channel_is_a_plain_path(
    source: Path, tmp_path: Path
) -> None:
    assert prepare(source, tmp_path / "out", "--bits", "8") == 0
    entries = all_entries(tmp_path / "out")
    assert all(isinstance(entry["image"], str) for entry in entries)
    assert not any("-000-" in entry["image"] for entry in entries)


def rename(case: Path, names: dict[str, str], new: str, suffix: str = ".nii.gz") -> None:
    for old, modality in names.items():
        file = case / f"{case.name}_{old}.nii.gz"
        file.rename(case / f"{new}{modality}{suffix}")


def test_layouts_of_2018_2021_and_2023_are_read(tmp_path: Path) -> None:
    write_brats(tmp_path / "HGG", "Brats18_2013_11_1")
    write_brats(tmp_path, "BraTS2021_00000")
    case = write_brats(tmp_path, "BraTS-GLI-00005-000")
    rename(case, {"flair": "-t2f", "t1": "-t1n", "seg": "-seg"}, case.name)
    scans, _ = find_scans(tmp_path)
    assert sorted(scans) == ["BraTS-GLI-00005-000", "BraTS2021_00000", "Brats18_2013_11_1"]
    assert all(set(volumes) == {"flair", "t1", "seg"} for volumes in scans.values())


def test_unpacked_volumes_are_read(tmp_path: Path) -> None:
    write_nifti(
        tmp_path / "s" / "a" / "a_flair.nii", np.arange(1, 33).reshape(4, 4, 2).astype(np.int16)
    )
    write_nifti(tmp_path / "s" / "a" / "a_seg.nii", np.zeros((4, 4, 2), np.uint8))
    assert prepare(tmp_path / "s", tmp_path / "out") == 0


def test_stray_segmentation_joins_the_only_scan_that_lacks_one(tmp_path: Path) -> None:
    case = write_brats(tmp_path, "BraTS20_Training_355")
    (case / "BraTS20_Training_355_seg.nii.gz").rename(case / "W39_1998.09.19_Segm.nii.gz")
    (volumes,) = find_scans(tmp_path)[0].values()
    assert set(volumes) == {"flair", "t1", "seg"}


def test_two_scans_of_one_patient_stay_together(tmp_path: Path) -> None:
    for patient in range(4):
        for scan in range(2):
            name = f"BraTS-GLI-{patient:05d}-{scan:03d}"
            write_brats(tmp_path / "s", name)
    assert prepare(tmp_path / "s", tmp_path / "out") == 0
    patients = {entry["patient"] for entry in all_entries(tmp_path / "out")}
    assert patients == {"p0001", "p0002", "p0003", "p0004"}


def test_broken_scans_are_skipped_with_reasons_and_the_others_kept(
    source: Path, tmp_path: Path
) -> None:
    cases = sorted(source.iterdir())
    packed = cases[0] / f"{cases[0].name}_flair.nii.gz"
    packed.write_bytes(packed.read_bytes()[:-200])
    write_nifti(cases[1] / f"{cases[1].name}_seg.nii.gz", np.zeros((20, 18, 9), np.uint8))
    (cases[2] / f"{cases[2].name}_seg.nii.gz").unlink()
    assert prepare(source, tmp_path / "out") == 0
    skipped = reasons(tmp_path / "out")
    assert "truncated" in skipped[cases[0].name]
    assert "share a shape" in skipped[cases[1].name]
    assert "must have a seg volume" in skipped[cases[2].name]
    assert len({entry["patient"] for entry in all_entries(tmp_path / "out")}) == 2


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize("value", [0.4, -1], ids=["probabilities", "negative"])
def test_a_segmentation_of_no_labels_is_skipped(source: Path, tmp_path: Path, value: float) -> None:
    case = sorted(source.iterdir())[0]
    voxels = np.zeros((20, 18, 8), np.float32)
    voxels[8:11] = value
    write_nifti(case / f"{case.name}_seg.nii.gz", voxels)
    assert prepare(source, tmp_path / "out") == 0
    assert "must hold whole numbers from 0" in reasons(tmp_path / "out")[case.name]


def test_nothing_is_left_of_a_scan_that_fails_late(source: Path, tmp_path: Path) -> None:
    case = sorted(source.iterdir())[0]
    write_nifti(case / f"{case.name}_t1.nii.gz", np.zeros((20, 18, 8), np.int16))
    assert prepare(source, tmp_path / "out", "--modalities", "flair,t1") == 0
    manifest = read_manifest(tmp_path / "out")
    assert "all-black" in manifest["skipped"][0]["reason"]
    files = {p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.png")}
    assert files == set(manifest["sha256"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--modalities", "pet"), "--modalities must be"),
        (("--test-size", "0"), "--test-size must be"),
    ],
)
def test_bad_option_is_one_line(
    source: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert prepare(source, tmp_path / "out", *options) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert len(errors.strip().splitlines()) == 1


def test_folder_without_volumes_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s").mkdir()
    assert prepare(tmp_path / "s", tmp_path / "out") == 2
    assert "must hold BraTS volumes" in capsys.readouterr().err


def test_same_source_copied_elsewhere_gives_the_same_manifest(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "copy")
    for folder in ("source", "copy"):
        assert prepare(tmp_path / folder, tmp_path / f"{folder}-out") == 0
    one, two = ((tmp_path / f"{f}-out" / "manifest.json").read_bytes() for f in ("source", "copy"))
    assert one == two
