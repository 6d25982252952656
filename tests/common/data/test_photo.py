"""Photographs are read as preparation reads them, whatever holds them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.checks import InputError
from common.data.photo import read_photo, square
from tests.synthetic import ramp, write_picture


def colours(height: int = 10, width: int = 14) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_the_middle_is_cut_out_of_a_picture_of_the_right_height(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", colours())
    assert np.array_equal(read_photo(path, 10), colours()[:, 2:12])


def test_the_picture_is_upright_and_transparency_is_black(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    path = write_picture(tmp_path / "a.png", colours(10, 10), exif=exif)
    assert np.array_equal(read_photo(path, 10), colours(10, 10)[::-1, ::-1])
    clear = np.concatenate([colours(4, 4), np.zeros((4, 4, 1), np.uint8)], axis=2)
    assert not square(Image.fromarray(clear), 4).any()


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.png", ramp(10, 10, 65535))
    expected = np.rint(ramp(10, 10, 65535) / 257)
    np.testing.assert_array_equal(read_photo(path, 10)[..., 1], expected)


@pytest.mark.parametrize("fault", ["missing", "truncated", "floats"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.png"
    if fault == "truncated":
        path.write_bytes(write_picture(path, colours()).read_bytes()[:60])
    elif fault == "floats":
        path = write_picture(tmp_path / "a.tif", ramp().astype(np.float32))
    with pytest.raises(InputError, match=r"a\.(png|tif): must") as caught:
        read_photo(path, 8)
    assert "\n" not in str(caught.value)
