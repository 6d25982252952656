"""Images that a host program hands over: the same numbers as from a file, and their metadata."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from common.checks import InputError
from common.data import LoadMedicalImaged, LoadStoredd, PrepareImaged, read_image
from common.data.nifti import load_voxels
from tests.synthetic import ramp, write_nifti, write_picture


def prepared(value: Any, **preparation: Any) -> torch.Tensor:
    transform = PrepareImaged("image", size=32, preparation=preparation)
    image: torch.Tensor = transform({"image": value})["image"]
    return image


def volume(path: Path) -> Path:
    """Slice 2 is the least black."""
    voxels = np.zeros((40, 36, 6), np.int16)
    voxels[8:30, 8:30, 1] = 7
    voxels[4:36, 4:32, 2] = np.arange(1, 897).reshape(32, 28)
    return write_nifti(path, voxels)


@pytest.mark.parametrize("kind", ["grey", "photo", "fundus"])
def test_a_picture_in_memory_gives_the_numbers_of_its_file(kind: str, tmp_path: Path) -> None:
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    disc = np.rint(200 * (rows**2 + columns**2 < 0.9) * (0.5 + columns / 4)).astype(np.uint8)
    from_file = prepared(str(write_picture(tmp_path / "x.png", disc)), kind=kind)
    assert torch.equal(prepared(disc, kind=kind), from_file)
    assert torch.equal(prepared(disc[None].astype(np.float32) / 255, kind=kind), from_file)


def test_metadata_of_an_image_in_memory_stay_with_it() -> None:
    image = prepared(MetaTensor(torch.rand(1, 40, 40), meta={"series": "7"}))
    assert isinstance(image, MetaTensor)
    assert image.meta["series"] == "7"
    stored = LoadStoredd("image")({"image": MetaTensor(torch.rand(9, 9, 9), meta={"a": 1})})
    assert stored["image"].meta["a"] == 1
    assert not isinstance(prepared(np.random.default_rng(0).random((40, 40))), MetaTensor)


def test_a_volume_without_a_slice_is_read_at_the_one_that_shows_most(tmp_path: Path) -> None:
    path = volume(tmp_path / "v.nii.gz")
    chosen = LoadMedicalImaged()({"image": str(path)})["image"]
    np.testing.assert_array_equal(chosen, read_image(path, 2))
    in_memory = LoadMedicalImaged()({"image": np.array(load_voxels(path))})["image"]
    assert torch.equal(in_memory, chosen)


def test_a_stored_volume_in_memory_keeps_its_values() -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32)
    for given in (values, values[None], torch.from_numpy(values)):
        loaded = LoadStoredd("image")({"image": given})["image"]
        assert torch.equal(loaded, torch.from_numpy(values)[None])


@pytest.mark.bad_input("images")
@pytest.mark.parametrize(
    ("array", "rule"),
    [
        (4095 * ramp().astype(np.float32), "must be bytes, 16-bit integers or in"),
        (np.full((40, 40), np.nan, np.float32), "must be bytes, 16-bit integers or in"),
        (np.zeros((40, 40), np.uint8), "image in memory: must show something"),
        (np.zeros((2, 2, 9, 9, 9)), "must be a volume"),
        (np.array([["a"]]), "must hold numbers"),
    ],
    ids=["range", "nan", "black", "shape", "text"],
)
def test_an_array_that_is_no_image_is_refused(array: Any, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        prepared(array)
