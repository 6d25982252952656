"""Datalists to predict on, the MONAI transform and the files that outlive broken ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch.utils.data import default_collate

from common.checks import InputError
from common.data import ImageFiles, LoadMedicalImaged, image_datalist, read_image
from common.data.datalist import image_slices
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture


def read(folder: Path) -> list[list[dict[str, Any]]]:
    return list(ImageFiles(folder, LoadMedicalImaged()))


def volume(path: Path) -> Path:
    """Slices 0 and 3 are mostly black, 1 and 2 are not."""
    voxels = np.zeros((10, 10, 4), np.int16)
    voxels[2:8, 2:8, 1:3] = np.arange(1, 73).reshape(6, 6, 2)
    voxels[0, 0, 3] = 5
    return write_nifti(path, voxels)


def test_folder_is_listed_in_sorted_order_with_relative_names(tmp_path: Path) -> None:
    write_picture(tmp_path / "b" / "x.png", ramp())
    write_dicom(tmp_path / "a" / "film", ramp())
    for name in ("notes.txt", "._x.png", "DICOMDIR"):
        (tmp_path / name).write_text("passed over")
    entries = image_datalist(tmp_path)
    assert [entry["name"] for entry in entries] == ["a/film", "b/x.png"]
    assert entries[1]["image"] == str(tmp_path / "b" / "x.png")


def test_volume_gives_its_slices_that_are_not_mostly_black(tmp_path: Path) -> None:
    (entry,) = image_datalist(volume(tmp_path / "v.nii.gz"))
    entries = image_slices(entry)
    assert [entry["slice"] for entry in entries] == [1, 2]
    assert {entry["name"] for entry in entries} == {"v.nii.gz"}


def test_volume_without_a_slice_worth_reading_reaches_the_notes(tmp_path: Path) -> None:
    voxels = np.zeros((10, 10, 4), np.int16)
    voxels[0, 0] = 5
    write_nifti(tmp_path / "v.nii", voxels)
    ((entry,),) = read(tmp_path)
    assert entry["slice"] == -1
    assert "less than 80 % black" in entry["reason"]


def test_images_and_slices_of_volumes_collate_together(tmp_path: Path) -> None:
    volume(tmp_path / "a.nii")
    write_picture(tmp_path / "b.png", ramp(10, 10))
    entries = [entry for images in read(tmp_path) for entry in images]
    batch = default_collate(entries)
    assert batch["slice"].tolist() == [1, 2, -1]
    assert batch["name"] == ["a.nii", "a.nii", "b.png"]


def test_volume_stays_whole_in_3d(tmp_path: Path) -> None:
    (entry,) = image_datalist(volume(tmp_path / "v.nii"))
    assert "slice" not in entry
    image = LoadMedicalImaged(spatial_dims=3)(entry)["image"]
    assert image.shape == (1, 10, 10, 4)


def test_json_paths_are_relative_to_its_folder(tmp_path: Path) -> None:
    write_picture(tmp_path / "x.png", ramp())
    (tmp_path / "list.json").write_text(json.dumps({"test": [{"image": "x.png", "label": 1}]}))
    (entry,) = image_datalist(tmp_path / "list.json")
    assert entry == {"image": str(tmp_path / "x.png"), "name": "x.png", "label": 1}


def test_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"must hold images .* got none"):
        image_datalist(tmp_path)


def test_loaded_slice_is_a_plain_float_tensor_equal_to_the_reader(tmp_path: Path) -> None:
    path = volume(tmp_path / "v.nii.gz")
    image = LoadMedicalImaged()({"image": str(path), "slice": 2})["image"]
    assert type(image) is torch.Tensor
    assert image.dtype == torch.float32
    np.testing.assert_array_equal(image.numpy(), read_image(path, 2))


def test_list_of_paths_becomes_channels_in_that_order(tmp_path: Path) -> None:
    paths = [write_picture(tmp_path / f"{i}.png", ramp(high=60000 + i)) for i in range(2)]
    image = LoadMedicalImaged()({"image": [str(path) for path in paths]})["image"]
    np.testing.assert_array_equal(image[1].numpy(), read_image(paths[1])[0])


def test_channels_of_different_shape_are_refused(tmp_path: Path) -> None:
    paths = [str(write_picture(tmp_path / f"{n}.png", ramp(n, 4))) for n in (4, 5)]
    with pytest.raises(InputError, match="one shape"):
        LoadMedicalImaged()({"image": paths})


def test_slices_of_one_volume_decode_it_once(tmp_path: Path) -> None:
    path = volume(tmp_path / "v.nii.gz")
    load = LoadMedicalImaged()
    load({"image": str(path), "slice": 1})
    path.unlink()
    assert load({"image": str(path), "slice": 2})["image"].shape == (1, 10, 10)


def test_unreadable_files_are_noted_and_the_others_come_through(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        write_picture(tmp_path / name, ramp())
    (tmp_path / "b.png").write_bytes(b"broken")
    actual = [entry for (entry,) in ImageFiles(tmp_path, Compose([LoadMedicalImaged()]))]
    assert [entry["name"] for entry in actual if "reason" not in entry] == ["a.png", "c.png"]
    assert actual[1]["name"] == "b.png"
    assert "truncated or damaged" in actual[1]["reason"]


def test_broken_volume_in_a_folder_reaches_the_notes(tmp_path: Path) -> None:
    write_nifti(tmp_path / "black.nii", np.zeros((4, 4, 4), np.int16))
    ((entry,),) = read(tmp_path)
    assert "all-black" in entry["reason"]


def test_other_errors_still_stop_the_run() -> None:
    def fail(entry: dict[str, str]) -> dict[str, str]:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(ImageFiles([{"image": "x"}], fail))
