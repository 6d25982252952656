"""Fundus photographs: the field of view, and every kind of file."""

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageDraw

from common.checks import InputError
from common.data import PrepareImaged
from common.data.fundus import MARK, find_field, read_fundus
from data_prep.machinery.files import encode_png
from tests.synthetic import write_dicom

Pixels = npt.NDArray[np.uint8]


def camera(width: int = 300, height: int = 200, radius: int = 80, ground: int = 4) -> Pixels:
    """An orange disc, brighter on the left, on a dark noisy ground."""
    y, x = np.mgrid[:height, :width]
    inside = np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5) <= radius
    pixels = np.random.default_rng(0).integers(0, ground + 1, (height, width, 3))
    shade = 1 - 0.5 * x / width
    colour = np.array([200, 110, 60]) * shade[..., None]
    return np.where(inside[..., None], colour, pixels).astype(np.uint8)


def saved(folder: Path, picture: Image.Image, name: str = "eye.png", **options: Any) -> Path:
    picture.save(folder / name, **options)
    return folder / name


def test_the_field_is_the_disc_without_text_and_marks() -> None:
    picture = Image.fromarray(camera())
    draw = ImageDraw.Draw(picture)
    draw.text((3, 3), "OD 2011-03-07", fill=(255, 255, 255))
    draw.rectangle((280, 180, 292, 192), fill=(240, 240, 240))
    field = find_field(picture)
    assert field.found
    box = np.array([field.left, field.top, field.right, field.bottom])
    np.testing.assert_allclose(box, [70, 20, 230, 180], atol=3)


def test_a_disc_cut_by_the_picture_is_padded_to_a_square(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(camera(300, 120, radius=100)))
    pixels, field_found = read_fundus(path, 100)
    assert field_found
    assert pixels.shape == (100, 100, 3)
    assert not pixels[:15].any()
    assert not pixels[-15:].any()
    assert pixels[50, 2:98].any(axis=1).all()


def test_where_no_disc_stands_out_the_whole_picture_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((60, 60, 3), np.uint8)
    pixels[5:7] = pixels[:, 20:22] = 200  # lines only
    square, field_found = read_fundus(saved(tmp_path, Image.fromarray(pixels)), 60)
    assert not field_found
    np.testing.assert_array_equal(square, pixels)


def test_a_prepared_picture_stays_as_it_is(tmp_path: Path) -> None:
    first, _ = read_fundus(saved(tmp_path, Image.fromarray(camera())), 96)
    again, field_found = read_fundus(saved(tmp_path, Image.fromarray(first), "again.png"), 96)
    assert field_found
    np.testing.assert_array_equal(again, first)
    load = PrepareImaged(size=96, preparation={"kind": "fundus"})
    loaded = load({"image": str(tmp_path / "eye.png")})["image"]
    assert torch.equal(loaded, torch.from_numpy(first).permute(2, 0, 1) / 255)


def test_a_marked_picture_is_not_cut_again(tmp_path: Path) -> None:
    path = tmp_path / "eye.png"
    path.write_bytes(encode_png(camera(), MARK))
    square, field_found = read_fundus(path, 300)
    assert field_found
    np.testing.assert_array_equal(square[50:250], camera())


def test_the_orientation_of_exif_is_applied(tmp_path: Path) -> None:
    picture = Image.fromarray(camera())
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = saved(tmp_path, picture.rotate(180), exif=exif)
    turned, _ = read_fundus(path, 96)
    upright, _ = read_fundus(saved(tmp_path, picture, "upright.png"), 96)
    np.testing.assert_array_equal(turned, upright)


@pytest.mark.parametrize(
    "kind", ["cmyk.jpg", "grey.png", "sixteen.png", "palette.png", "alpha.png"]
)
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, kind: str) -> None:
    pixels = camera()
    picture = Image.fromarray(pixels)
    grey = np.asarray(picture.convert("L"))
    made = {
        "cmyk.jpg": lambda: picture.convert("CMYK"),
        "grey.png": lambda: Image.fromarray(grey),
        "sixteen.png": lambda: Image.fromarray(grey.astype(np.uint16) * 257),
        "palette.png": lambda: picture.quantize(64),
        "alpha.png": lambda: picture.convert("RGBA"),
    }[kind]()
    path = saved(tmp_path, made, kind)
    square, field_found = read_fundus(path, 160)
    wanted, _ = read_fundus(saved(tmp_path, picture, "plain.png"), 160)
    if kind in ("grey.png", "sixteen.png"):
        wanted = np.repeat(np.asarray(Image.fromarray(wanted).convert("L"))[..., None], 3, axis=2)
    assert field_found
    assert np.abs(square.astype(int) - wanted).mean() < 4


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL", "MONOCHROME2", "MONOCHROME1"])
def test_ophthalmic_dicom_is_read_in_colour(tmp_path: Path, photometric: str) -> None:
    pixels = camera()
    stored: Any = pixels
    if photometric == "YBR_FULL":
        stored = np.asarray(Image.fromarray(pixels).convert("YCbCr"))
    if photometric.startswith("MONOCHROME"):
        stored = pixels.max(axis=2)
        pixels = np.repeat(stored[..., None], 3, axis=2)
        stored = 255 - stored if photometric == "MONOCHROME1" else stored
    path = write_dicom(
        tmp_path / "eye.dcm", stored, bits=8, PhotometricInterpretation=photometric, Modality="OP"
    )
    square, field_found = read_fundus(path, 160)
    wanted, _ = read_fundus(saved(tmp_path, Image.fromarray(pixels)), 160)
    assert field_found
    if photometric.startswith("MONOCHROME"):  # shown from black to white
        wanted = np.rint(wanted * (255 / pixels.max())).astype(np.uint8)
    assert np.abs(square.astype(int) - wanted).mean() < 2


def test_a_large_jpeg_is_decoded_small(tmp_path: Path) -> None:
    picture = Image.fromarray(camera()).resize((3000, 2000), Image.Resampling.BILINEAR)
    square, field_found = read_fundus(saved(tmp_path, picture, "large.jpg"), 96)
    small, _ = read_fundus(saved(tmp_path, Image.fromarray(camera()), "small.png"), 96)
    assert field_found
    assert np.abs(square.astype(int) - small).mean() < 4


def test_a_hundred_megapixels_are_read(tmp_path: Path) -> None:
    picture = Image.linear_gradient("L").resize((10_000, 10_000), Image.Resampling.NEAREST)
    path = saved(tmp_path, picture, "large.jpg")
    assert read_fundus(path, 64)[0].shape == (64, 64, 3)


@pytest.mark.parametrize("side", [16_000, 60_000])
def test_more_than_the_limit_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = saved(tmp_path, Image.new("L", (40, 40), 90))
    header = path.read_bytes()
    size = side.to_bytes(4, "big") * 2
    checked = b"IHDR" + size + header[24:29]
    path.write_bytes(header[:12] + checked + zlib.crc32(checked).to_bytes(4, "big") + header[33:])
    with pytest.raises(InputError, match="at most 178 megapixels"):
        read_fundus(path, 64)


def broken(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(camera()).save(buffer, "JPEG")
    return {
        "truncated": buffer.getvalue()[:900],
        "text": b"no picture at all",
        "empty": b"",
    }[kind]


@pytest.mark.parametrize("kind", ["truncated", "text", "empty"])
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "eye.jpg"
    path.write_bytes(broken(kind))
    with pytest.raises(InputError, match=r"eye.jpg: must be a whole picture") as caught:
        read_fundus(path, 64)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros((1, 1, 3), np.uint8), "at least 32 pixels a side, got 1 x 1"),
        (np.full((64, 64, 3), 5, np.uint8), "must show something, got a black picture"),
    ],
)
def test_a_picture_of_nothing_is_told_in_one_line(
    tmp_path: Path, pixels: Pixels, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read_fundus(saved(tmp_path, Image.fromarray(pixels)), 64)
