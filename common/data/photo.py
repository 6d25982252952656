"""Photographs as RGB squares of one size: preparation and inference see the same pixels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from common.data.picture import Depth, eight_bits, opened, to_rgb
from common.data.reading import check_shown

__all__ = ["read_photo", "square"]


def read_photo(path: str | Path, size: int) -> npt.NDArray[np.uint8]:
    """Read one picture, upright as its EXIF orientation says.

    Args:
        path: PNG, JPEG, BMP, PPM or TIFF.
        size: pixels of a side.

    Returns:
        ``(size, size, 3)``; grey pictures become RGB, transparency is laid over black.

    Raises:
        InputError: unreadable, truncated, several pages, more than 16 bits, or one colour in
            every pixel.
    """
    path = Path(path)
    with opened(path, "picture") as picture:
        depth = Depth(picture)
        upright = ImageOps.exif_transpose(picture)
        pixels = square(eight_bits(upright, depth, path.name), size)
        check_shown(np.moveaxis(pixels, -1, 0), path.name)
        return pixels


def square(picture: Image.Image, size: int) -> npt.NDArray[np.uint8]:
    """Scale the shorter side to `size` (bilinear, antialiased) and cut out the middle.

    Returns:
        ``(size, size, 3)``.
    """
    picture = to_rgb(picture)
    width, height = picture.size
    scale = size / min(width, height)
    shape = (max(size, round(width * scale)), max(size, round(height * scale)))
    if shape != picture.size:
        picture = picture.resize(shape, Image.Resampling.BILINEAR)
    left, top = (shape[0] - size) // 2, (shape[1] - size) // 2
    return np.array(picture.crop((left, top, left + size, top + size)))
