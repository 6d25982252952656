"""Pixel values of pictures and NIfTI volumes are those of their formats, of every depth."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from PIL.TiffImagePlugin import AppendingTiffWriter

from common.checks import InputError
from common.data import read_image
from common.data.photo import read_photo
from tests.synthetic import ramp, write_nifti, write_picture


def tiff(
    path: Path, pixels: npt.NDArray[np.uint16], bits: int, photometric: int = 1, order: str = "<"
) -> Path:
    """An uncompressed TIFF of one strip (TIFF 6.0), 12-bit samples packed two in three bytes."""
    if bits == 12:
        pairs = pixels.reshape(-1, 2).astype(np.uint32)
        whole = (pairs[:, 0] << 12) | pairs[:, 1]
        strip = b"".join(int(value).to_bytes(3, "big") for value in whole)
    else:
        strip = pixels.astype(f"{order}u{bits // 8}").tobytes()
    rows, columns = pixels.shape
    tags = {256: columns, 257: rows, 258: bits, 259: 1, 262: photometric, 277: 1, 278: rows}
    tags |= {273: 8 + 2 + 12 * (len(tags) + 2) + 4, 279: len(strip)}
    entries = b"".join(
        struct.pack(f"{order}HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, len(tags))
    path.write_bytes(head + entries + struct.pack(f"{order}I", 0) + strip)
    return path


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("photometric", [0, 1], ids=["white is zero", "black is zero"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_tiff_of_every_depth_and_polarity(
    tmp_path: Path, bits: int, photometric: int, order: str
) -> None:
    pixels = ramp(high=2**bits - 1)
    shown = pixels / (2**bits - 1)
    expected = shown if photometric else 1 - shown
    path = tiff(tmp_path / "a.tif", pixels, bits, photometric, order)
    np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-6)
    np.testing.assert_allclose(read_photo(path, 10)[..., 0] / 255, expected[1:11], atol=0.6 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("high", [255, 65535], ids=["8 bits", "16 bits"])
def test_orientation_of_tiff_is_followed(tmp_path: Path, high: int, orientation: int) -> None:
    pixels = ramp(high=high).astype(np.uint8 if high == 255 else np.uint16)
    path = write_picture(tmp_path / "a.tif", pixels, tiffinfo={274: orientation})
    turns: dict[int, Callable[[Any], Any]] = {
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.T,
        6: lambda x: np.rot90(x, -1),
        7: lambda x: np.rot90(x, 2).T,
        8: lambda x: np.rot90(x),
    }
    np.testing.assert_allclose(read_image(path)[0], turns[orientation](pixels / high), atol=1e-6)


@pytest.mark.parametrize("suffix", ["png", "bmp", "webp", "tif"])
def test_every_format_gives_the_same_values(tmp_path: Path, suffix: str) -> None:
    pixels = np.repeat(ramp(high=255).astype(np.uint8)[..., None], 3, axis=2)
    options = {"lossless": True} if suffix == "webp" else {}
    path = write_picture(tmp_path / f"a.{suffix}", pixels, **options)
    np.testing.assert_allclose(read_image(path)[0], pixels[..., 0] / 255, atol=1e-6)


def test_a_transparent_value_of_sixteen_bits_is_black(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", ramp(high=65535), transparency=65535)
    image = read_image(path)[0]
    assert image[-1, -1] == 0
    np.testing.assert_allclose(image.ravel()[:-1], ramp(high=65535).ravel()[:-1] / 65535, atol=1e-6)


def photograph(height: int, width: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), np.uint8))


def test_a_preview_beside_a_picture_is_passed_over(tmp_path: Path) -> None:
    large, small = photograph(40, 30), photograph(8, 6)
    large.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small], quality=100)
    with Image.open(tmp_path / "a.jpg") as camera:
        assert camera.n_frames == 2, "the premise"
    np.testing.assert_allclose(
        read_image(tmp_path / "a.jpg")[0], np.asarray(large) / 255, atol=0.02
    )
    with io.BytesIO() as pages, AppendingTiffWriter(pages, new=True) as writer:
        for page, kind in ((large, 0), (small, 1)):
            page.save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
        (tmp_path / "a.tif").write_bytes(pages.getvalue())
    np.testing.assert_allclose(
        read_image(tmp_path / "a.tif")[0], np.asarray(large) / 255, atol=1e-6
    )


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize("dtype", [np.int32, np.float32, np.int8])
def test_a_tiff_of_signed_or_floating_values_is_refused(tmp_path: Path, dtype: Any) -> None:
    pixels = ramp(high=99).astype(np.uint8 if dtype is np.int8 else dtype)
    path = write_picture(tmp_path / "a.tif", pixels, tiffinfo={339: 2} if dtype is np.int8 else {})
    with pytest.raises(InputError, match=r"a\.tif: must"):
        read_image(path)


def voxels() -> npt.NDArray[np.int16]:
    return np.random.default_rng(0).integers(0, 900, (5, 6, 7)).astype(np.int16)


def patched(path: Path, offset: int, kind: str, *values: float) -> Path:
    """A NIfTI-1 file with fields of its header changed."""
    data = bytearray(write_nifti(path, voxels()).read_bytes())
    struct.pack_into(kind, data, offset, *values)
    path.write_bytes(data)
    return path


def test_a_volume_that_does_not_say_where_it_begins_begins_after_the_header(tmp_path: Path) -> None:
    plain = read_image(write_nifti(tmp_path / "a.nii", voxels()))
    np.testing.assert_array_equal(read_image(patched(tmp_path / "b.nii", 108, "<f", 0)), plain)


@pytest.mark.parametrize("slope", [0.0, np.nan, np.inf, 1.0])
def test_a_slope_that_is_none_leaves_values_as_stored(tmp_path: Path, slope: float) -> None:
    plain = read_image(write_nifti(tmp_path / "a.nii", voxels()))
    np.testing.assert_array_equal(read_image(patched(tmp_path / "b.nii", 112, "<f", slope)), plain)


def test_a_slope_and_intercept_are_applied(tmp_path: Path) -> None:
    path = patched(tmp_path / "a.nii", 112, "<ff", 0.5, 10)
    values = 0.5 * voxels() + 10
    expected = np.clip(values / np.percentile(values, 99.5), 0, 1)
    np.testing.assert_allclose(read_image(path)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("suffix", ["nii", "nii.gz"])
def test_big_endian_and_nifti_2_give_the_same_volume(tmp_path: Path, suffix: str) -> None:
    plain = read_image(write_nifti(tmp_path / f"a.{suffix}", voxels()))
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels(), np.eye(4), header), tmp_path / f"b.{suffix}")
    nibabel.save(nibabel.Nifti2Image(voxels(), np.eye(4)), tmp_path / f"c.{suffix}")
    for name in "bc":
        np.testing.assert_array_equal(read_image(tmp_path / f"{name}.{suffix}"), plain)


@pytest.mark.parametrize("axes", [1, 2])
def test_one_volume_of_four_or_five_axes_is_read(tmp_path: Path, axes: int) -> None:
    plain = read_image(write_nifti(tmp_path / "a.nii", voxels()))
    more = voxels().reshape(5, 6, 7, *[1] * axes)
    np.testing.assert_array_equal(read_image(write_nifti(tmp_path / "b.nii", more)), plain)


def test_the_content_says_whether_it_is_packed(tmp_path: Path) -> None:
    plain = write_nifti(tmp_path / "a.nii", voxels())
    expected = read_image(plain)
    packed = write_nifti(tmp_path / "b.nii.gz", voxels()).rename(tmp_path / "b.nii")
    np.testing.assert_array_equal(read_image(packed), expected)
    np.testing.assert_array_equal(read_image(plain.rename(tmp_path / "c.nii.gz")), expected)


RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.bad_input("pixels")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: patched(path, 42, "<3h", *[32767] * 3), "at most 4 GB"),
        (lambda path: path.write_bytes(b""), "whole NIfTI"),
        (lambda path: patched(path, 108, "<f", 40), "begin at byte 352"),
        (lambda path: patched(path, 108, "<f", 1e9), "truncated"),
        (lambda path: patched(path, 116, "<f", np.inf), "whole NIfTI"),
        (lambda path: patched(path, 344, "<i", 0), "one NIfTI file"),
        (lambda path: patched(path, 280, "<12f", *[0] * 12), "affine"),
        (lambda path: write_nifti(path, np.zeros((4, 4, 4), RGB)), "one number"),
        (lambda path: write_nifti(path, np.ones((4, 4, 4), np.complex64)), "one number"),
        (lambda path: write_nifti(path, np.full((4, 4, 4), 7, np.int16)), "same value"),
        (lambda path: write_nifti(path, 1e200 * voxels()), "finite"),
    ],
    ids=[
        "32767 cubed", "empty", "begins in the header", "begins after the end", "intercept", "pair",
        "zero affine", "RGB", "complex", "constant", "overflow",
    ],
)  # fmt: skip
def test_a_volume_without_values_is_one_line(tmp_path: Path, make: Any, words: str) -> None:
    make(tmp_path / "case.nii")
    with pytest.raises(InputError, match=r"case\.nii") as caught:
        read_image(tmp_path / "case.nii")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
