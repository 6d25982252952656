"""Pictures and NIfTI volumes as the one reader gives them, and what it says of broken ones."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.data import read_image
from tests.synthetic import ramp, write_nifti, write_picture


def test_eight_bit_png_is_divided_by_255(tmp_path: Path) -> None:
    pixels = np.array([[0, 51], [102, 255], [1, 2]], np.uint8)
    image = read_image(write_picture(tmp_path / "a.png", pixels))
    assert image.shape == (1, 3, 2)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0], pixels / 255, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tiff"])
def test_sixteen_bit_picture_is_divided_by_65535(tmp_path: Path, suffix: str) -> None:
    pixels = ramp(high=65535)
    image = read_image(write_picture(tmp_path / f"a.{suffix}", pixels))
    np.testing.assert_allclose(image[0], pixels / 65535, atol=1e-7)


def test_colour_becomes_luminance(tmp_path: Path) -> None:
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    image = read_image(write_picture(tmp_path / "a.png", pixels))
    np.testing.assert_allclose(image[0, 0], [0.299, 0.587, 0.114], atol=1 / 255)


def test_cmyk_jpeg_is_bright_where_there_is_no_ink(tmp_path: Path) -> None:
    ink = np.zeros((16, 32, 4), np.uint8)
    ink[:, 16:, 3] = 255
    Image.frombytes("CMYK", (32, 16), ink.tobytes()).save(tmp_path / "a.jpg", quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image[0, :, :12].min() > 0.9
    assert image[0, :, 20:].max() < 0.1


def test_transparent_pixels_are_black(tmp_path: Path) -> None:
    pixels = np.full((2, 2, 4), 255, np.uint8)
    pixels[0, 0, 3] = 0
    image = read_image(write_picture(tmp_path / "a.png", pixels))
    assert image[0].tolist() == [[0.0, 1.0], [1.0, 1.0]]


def test_exif_orientation_is_followed(tmp_path: Path) -> None:
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to see it upright
    path = write_picture(tmp_path / "a.png", pixels, exif=exif)
    np.testing.assert_allclose(read_image(path)[0], np.rot90(pixels, -1) / 255, atol=1e-7)


def test_volume_is_turned_to_ras_and_scaled_by_its_percentile(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 900, (5, 6, 7)).astype(np.int16)
    path = write_nifti(tmp_path / "a.nii.gz", voxels, np.diag([-1.0, -1.0, 2.0, 1.0]))
    scale = np.percentile(voxels[voxels != 0], 99.5)
    expected = np.clip(voxels[::-1, ::-1] / scale, 0, 1)
    np.testing.assert_allclose(read_image(path)[0], expected, rtol=1e-6)


def test_slice_has_the_front_on_top_and_the_right_on_the_left(tmp_path: Path) -> None:
    voxels = np.zeros((4, 5, 3), np.uint8)
    voxels[3, 4, 1] = 200  # right, front
    voxels[0, 0, 1] = 100  # left, back
    image = read_image(write_nifti(tmp_path / "a.nii", voxels), slice_index=1)
    assert image.shape == (1, 5, 4)
    assert image[0, 0, 0] == 1
    assert 0 < image[0, -1, -1] < 1


def test_axes_in_another_order_give_the_same_volume(tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).integers(1, 90, (4, 5, 6)).astype(np.int16)
    swapped = np.zeros((4, 4))
    swapped[0, 2] = swapped[1, 0] = swapped[2, 1] = swapped[3, 3] = 1
    plain = read_image(write_nifti(tmp_path / "a.nii", voxels))
    other = read_image(write_nifti(tmp_path / "b.nii", voxels.transpose(1, 2, 0), swapped))
    np.testing.assert_array_equal(plain, other)


def black(path: Path) -> Path:
    return write_nifti(path, np.zeros((4, 4, 4), np.int16))


def with_nan(path: Path) -> Path:
    voxels = np.ones((4, 4, 4), np.float32)
    voxels[1, 1, 1] = np.nan
    return write_nifti(path, voxels)


def four_dimensional(path: Path) -> Path:
    return write_nifti(path, np.ones((4, 4, 4, 2), np.int16))


def z_scored(path: Path) -> Path:
    return write_nifti(path, np.random.default_rng(0).normal(size=(4, 4, 4)).astype(np.float32))


def truncated(path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 900, (16, 16, 16)).astype(np.int16)
    data = write_nifti(path, noise).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def not_gzip(path: Path) -> Path:
    path.write_bytes(b"plain text, no gzip")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (black, "all-black"),
        (with_nan, "NaN"),
        (four_dimensional, "one 3D volume"),
        (z_scored, "negative"),
        (truncated, "truncated"),
        (not_gzip, "truncated or damaged"),
    ],
)
def test_unusable_volume_is_one_line_that_names_the_file(tmp_path: Path, make, words: str) -> None:
    path = make(tmp_path / "case.nii.gz")
    with pytest.raises(InputError) as error:
        read_image(path)
    assert "case.nii.gz" in str(error.value)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_unpacked_volume_is_one_line(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", np.ones((8, 8, 8), np.int16))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(InputError, match=r"a\.nii: .*whole NIfTI"):
        read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_picture_is_one_line(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8)
    path = write_picture(tmp_path / f"a.{suffix}", noise)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_image(path)


def test_float_tiff_has_the_wrong_bit_depth(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.tif", np.ones((4, 4), np.float32))
    with pytest.raises(InputError, match="8 or 16 bits"):
        read_image(path)


def test_tiff_with_two_pages_is_refused(tmp_path: Path) -> None:
    page = Image.fromarray(np.ones((4, 4), np.uint8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    with pytest.raises(InputError, match="2 pages"):
        read_image(tmp_path / "a.tif")


def test_unknown_type_and_missing_file_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match="got another type"):
        read_image(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no such file"):
        read_image(tmp_path / "b.png")


def test_slice_outside_the_volume_is_refused(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", np.arange(64, dtype=np.int16).reshape(4, 4, 4))
    with pytest.raises(InputError, match=r"0\.\.3"):
        read_image(path, slice_index=4)
