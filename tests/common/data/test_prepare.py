"""The one way of an image to the network: what is stored, what is fitted, what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from common.checks import InputError
from common.data import PrepareImaged, read_image, read_preparation
from common.data.fundus import read_fundus
from common.data.photo import read_photo
from common.data.prepare import Preparation, fit, store
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture

FILM = {"kind": "grey", "size": 60, "bits": 8}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


def colours(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_storing_shrinks_by_lanczos_keeps_the_aspect_and_never_enlarges() -> None:
    image = noise(1, 100, 300)
    small = store(image, Preparation("grey", 60))
    assert small.shape == (1, 20, 60)
    assert abs(small.mean() - image.mean()) < 0.01
    expected = Image.fromarray(image[0]).resize((60, 20), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(small[0], np.clip(np.asarray(expected), 0, 1))
    np.testing.assert_array_equal(store(image, Preparation("grey", 400)), image)


@pytest.mark.parametrize("bits", [8, 16])
def test_what_is_stored_stays_as_it_is(bits: int) -> None:
    stored = store(noise(2, 90, 70), Preparation("grey", 50, bits))
    np.testing.assert_array_equal(store(stored, Preparation("grey", 50, bits)), stored)
    assert np.abs(store(noise(1, 9, 9), Preparation(bits=bits)) - noise(1, 9, 9)).max() <= (
        0.5 / (2**bits - 1) + 1e-7
    )


def test_fitting_smooths_what_it_shrinks() -> None:
    stripes = np.zeros((1, 64, 64), np.float32)
    stripes[:, ::2] = 1
    np.testing.assert_allclose(fit(stripes, 8)[0, 1:-1], 0.5, atol=0.02)


def test_fitting_pads_about_the_middle_and_leaves_the_right_size_alone() -> None:
    image = noise(3, 10, 40)
    fitted = fit(image, 40)
    np.testing.assert_array_equal(fitted[:, 15:25], image)
    assert not fitted[:, :15].any()
    assert not fitted[:, 25:].any()
    np.testing.assert_array_equal(fit(fitted, 40), fitted)


def test_fitting_enlarges_as_the_formula_of_bilinear_interpolation() -> None:
    line = noise(1, 1, 4)
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(line)[None], size=(2, 8), mode="bilinear", align_corners=False
    )
    np.testing.assert_allclose(fit(line, 8)[0, 3:5], wide[0, 0], atol=1e-6)


def test_loading_a_film_stores_and_fits_it(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "film", ramp(90, 120))
    loaded = PrepareImaged(size=32, preparation=FILM)({"image": str(path), "slice": -1})["image"]
    expected = fit(store(read_image(path), Preparation(**FILM)), 32)
    assert loaded.dtype == torch.float32
    np.testing.assert_array_equal(loaded.numpy(), expected)


def test_a_mask_is_fitted_with_its_image_and_may_be_black(tmp_path: Path) -> None:
    image = write_picture(tmp_path / "a.png", ramp(20, 40))
    mask = np.zeros((20, 40), np.uint8)
    mask[5:15, 10:30] = 255
    entry = {"image": str(image), "mask": str(write_picture(tmp_path / "m.png", mask))}
    load = PrepareImaged(size=40, masks="mask")
    np.testing.assert_array_equal(load(entry)["mask"][0, 10:30].numpy() * 255, mask)
    write_picture(tmp_path / "m.png", 0 * mask)
    assert not load(entry)["mask"].any()
    assert "mask" not in load({"image": str(image)})


def test_photographs_are_cut_square_and_colour_comes_first(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", colours(10, 14))
    load = PrepareImaged(size=10, preparation={"kind": "photo"}, channels=3)
    expected = torch.from_numpy(read_photo(path, 10).transpose(2, 0, 1).copy()) / 255
    assert torch.equal(load({"image": str(path), "slice": -1})["image"], expected)


@pytest.mark.parametrize("kind", ["grey", "photo"])
def test_films_and_slices_become_rgb_where_the_network_wants_it(tmp_path: Path, kind: str) -> None:
    film = write_dicom(tmp_path / "film.dcm", ramp(12, 10))
    voxels = np.arange(1, 361, dtype=np.int16).reshape(10, 9, 4)
    volume = write_nifti(tmp_path / "head.nii.gz", voxels)
    load = PrepareImaged(size=8, preparation={"kind": kind}, channels=3)
    for path, index in ((film, -1), (volume, 2)):
        image = load({"image": str(path), "slice": index})["image"]
        assert image.shape == (3, 8, 8)
        assert torch.equal(image[0], image[2])


@pytest.mark.parametrize("shape", [(3, 6, 6), (3, 6, 6, 3)], ids=["grey", "colour"])
def test_a_row_of_a_stack_is_read_as_it_is(tmp_path: Path, shape: tuple[int, ...]) -> None:
    stack = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "s.npy", stack)
    image = PrepareImaged(size=6)({"image": str(tmp_path / "s.npy"), "index": 1})["image"]
    expected = stack[1][None] if stack.ndim == 3 else stack[1].transpose(2, 0, 1)
    np.testing.assert_allclose(image.numpy(), expected / 255, atol=1e-7)


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize("value", [0, 77, 255])
def test_an_image_that_shows_nothing_is_one_line(tmp_path: Path, value: int) -> None:
    path = write_picture(tmp_path / "a.png", np.full((9, 9), value, np.uint8))
    with pytest.raises(InputError, match=r"a\.png: must show something"):
        PrepareImaged(size=8)({"image": str(path)})


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize("read", [lambda p: read_photo(p, 8), lambda p: read_fundus(p, 32)])
def test_a_photograph_of_one_colour_is_one_line(tmp_path: Path, read: Any) -> None:
    path = write_picture(tmp_path / "a.png", np.full((40, 40, 3), (200, 90, 20), np.uint8))
    with pytest.raises(InputError, match=r"a\.png: must show something"):
        read(path)


@pytest.mark.bad_input("preparation")
@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"kind": "x-ray"}, "kind must be one of"),
        ({"size": -1}, "size must be"),
        ({"size": "512"}, "size must be"),
        ({"bits": 12}, "bits must be"),
        ({"colour": 1}, "must hold kind, size and bits"),
        (["grey"], "must hold kind, size and bits"),
        ({"kind": "photo"}, "must be grey"),
    ],
)
def test_a_record_that_is_none_is_refused(tmp_path: Path, record: Any, words: str) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"preparation": record}))
    with pytest.raises(InputError, match=words) as caught:
        read_preparation(tmp_path / "model.json", "grey")
    assert "\n" not in str(caught.value)


def test_without_a_record_the_kind_is_the_bundles(tmp_path: Path) -> None:
    expected = {"kind": "fundus", "size": 0, "bits": 0}
    assert read_preparation(tmp_path, "fundus") == expected
    (tmp_path / "manifest.json").write_text("{")
    assert read_preparation(tmp_path, "fundus") == expected
