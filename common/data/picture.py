"""PNG, JPEG and TIFF as one grey channel in [0, 1]."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from common.checks import InputError, require

__all__ = ["opened", "read_picture"]

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
EIGHT_BIT = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa")
HAS_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")


def read_picture(path: str | Path) -> npt.NDArray[np.float32]:
    """Read one picture, upright as its EXIF orientation says.

    Grey 8-bit values are divided by 255 and 16-bit values by 65535. Colour becomes luminance
    (ITU-R 601, as Pillow converts); transparency is laid over black.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        InputError: unreadable, truncated, several pages, or another bit depth than 8 and 16.
    """
    path = Path(path)
    with opened(path, "PNG, JPEG or TIFF") as picture:
        picture.load()
        upright = ImageOps.exif_transpose(picture)
        return _grey(upright, path.name, str(picture.format))


@contextmanager
def opened(path: Path, kind: str, file: IO[bytes] | None = None) -> Iterator[Image.Image]:
    """Open one picture, and turn what Pillow says of a bad one into one line.

    Args:
        path: the file.
        kind: what it should be, for the message.
        file: the open file, where `path` only names it.
    """
    try:
        with Image.open(file or path) as picture:
            pages = getattr(picture, "n_frames", 1)
            require(
                pages == 1, f"{path.name}: must be one picture, got {pages} pages. Split it first."
            )
            yield picture
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. Check the path.") from None
    except InputError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InputError(
            f"{path.name}: must be a whole {kind}, got a truncated or damaged one "
            f"({type(error).__name__}). Copy it again."
        ) from None


def _grey(picture: Image.Image, name: str, file_format: str) -> npt.NDArray[np.float32]:
    """Values of an upright picture in [0, 1]."""
    mode = picture.mode
    if mode in SIXTEEN_BIT or (mode == "I" and file_format == "PNG"):
        return np.asarray(picture).astype(np.float32) / np.float32(65535)
    require(
        mode in EIGHT_BIT,
        f"{name}: must have 8 or 16 bits per pixel, got Pillow mode {mode}. Save it as 16-bit PNG.",
    )
    if mode in HAS_ALPHA or "transparency" in picture.info:
        colour = picture.convert("RGBA")
        black = Image.new("RGBA", colour.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, colour)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
    return np.asarray(picture.convert("L")).astype(np.float32) / np.float32(255)
