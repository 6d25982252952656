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


@pytest.mark.parametrize("fault", ["missing", "truncated", "16 bits"])
def test_what_cannot_be_read_is_one_line(tmp_path: Path, fault: str) -> None:
    path = tmp_path / "a.png"
    if fault == "truncated":
        path.write_bytes(write_picture(path, colours()).read_bytes()[:60])
    elif fault == "16 bits":
        write_picture(path, ramp())
    with pytest.raises(InputError, match=r"a\.png: must") as caught:
        read_photo(path, 8)
    assert "\n" not in str(caught.value)
