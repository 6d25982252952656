"""PNG, JPEG, TIFF, BMP and WebP as one grey channel in [0, 1]."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import OPEN_INFO
from PIL.TiffTags import TAGS_V2

from common.checks import InputError, require
from common.data.reading import LARGEST, check_pixels, quiet, reading

__all__ = ["Depth", "eight_bits", "is_coloured", "opened", "read_picture", "to_rgb"]

SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")
EIGHT_BIT = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "La", "RGBa")
HAS_ALPHA = ("LA", "PA", "RGBA", "La", "RGBa")
COLOUR = 0.02  # mean of the largest difference between channels, of 1: JPEG noise stays below
LOOK = 64  # pixels of the shorter side of a small copy in which colours are looked for, at least
MOST_PAGES = 10
# forms of grey TIFF that Pillow decodes but does not list: (byte order, white or black is zero,
# sample format, fill order, bits, extra samples) to modes; `Depth` inverts white is zero
for _order in (b"II", b"MM"):
    for _zero in (0, 1):
        OPEN_INFO.setdefault((_order, _zero, (1,), 1, (12,), ()), ("I;16", "I;12"))
OPEN_INFO.setdefault((b"MM", 0, (1,), 1, (16,), ()), ("I;16B", "I;16B"))
TAG = {tag.name: number for number, tag in TAGS_V2.items()}


def read_picture(path: str | Path, told: dict[str, Any] | None = None) -> npt.NDArray[np.float32]:
    """Read one picture, upright as its EXIF orientation says.

    Grey values of n bits are divided by 2ⁿ - 1 (n to 16; TIFF "white is zero" is inverted). Colour
    becomes luminance (ITU-R 601, as Pillow converts); transparency is laid over black.

    Args:
        path: the file.
        told: gets "colour", whether the picture shows colours, which are lost in what is returned.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        InputError: unreadable, truncated, several pages, or more than 16 bits.
    """
    path = Path(path)
    with opened(path, "PNG, JPEG, TIFF, BMP or WebP") as picture:
        depth = Depth(picture)
        picture.load()
        if told is not None:
            told.setdefault("colour", is_coloured(picture))  # of channels, the first tells
        return _grey(ImageOps.exif_transpose(picture), path.name, depth)


def is_coloured(picture: Image.Image) -> bool:
    """Whether a picture shows colours, whatever its mode."""
    if picture.mode in (*SIXTEEN_BIT, "1", "L", "LA", "La", "I", "F"):
        return False
    small = (picture if picture.mode == "RGB" else picture.convert("RGB")).reduce(
        max(1, min(picture.size) // LOOK)
    )
    red, green, blue = np.moveaxis(np.asarray(small), 2, 0)
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return float((highest - lowest).mean()) > 255 * COLOUR


class Depth:
    """How the 16-bit values of an opened picture are to be read, from its TIFF fields.

    Args:
        picture: as Pillow opened it.

    Attributes:
        wide: whether Pillow gives 16-bit values.
        bits: of a sample, 1 to 16.
        inverted: whether 0 is white and Pillow leaves it so.
        signed: whether samples are signed or floating point.
        clear: the 16-bit value that is transparent; None for none.
    """

    def __init__(self, picture: Image.Image) -> None:
        tags = getattr(picture, "tag_v2", {})
        wide = picture.mode in SIXTEEN_BIT or (picture.mode == "I" and picture.format == "PNG")
        self.wide = wide
        self.bits = int(tags.get(TAG["BitsPerSample"], (16,))[0])
        self.inverted = wide and tags.get(TAG["PhotometricInterpretation"]) == 0
        self.signed = set(tags.get(TAG["SampleFormat"], (1,))) - {1} != set()
        clear = picture.info.get("transparency")
        self.clear = clear if wide and isinstance(clear, int) else None

    def read(self, picture: Image.Image) -> npt.NDArray[np.float32]:
        """Values of a picture of 16-bit mode, turned or not, in [0, 1]."""
        stored = np.asarray(picture)
        values = stored.astype(np.float32) / np.float32(2**self.bits - 1)
        if self.inverted:
            values = 1 - values
        if self.clear is not None:
            values[stored == self.clear] = 0
        return values


def eight_bits(picture: Image.Image, depth: Depth, name: str) -> Image.Image:
    """Scale a picture of 16-bit values to 8 bits; Pillow reads 16-bit colour as 8-bit."""
    require(
        (depth.wide or picture.mode in EIGHT_BIT) and not depth.signed,
        f"{name}: must have 8 or 16 bits per channel, unsigned, got another depth (Pillow mode "
        f"{picture.mode}). Save it as 8-bit RGB.",
    )
    if not depth.wide:
        return picture
    return Image.fromarray(np.rint(255 * depth.read(picture)).astype(np.uint8))


@contextmanager
def opened(path: Path, kind: str, file: IO[bytes] | None = None) -> Iterator[Image.Image]:
    """Open one picture, and turn what Pillow says of a bad one into one line.

    Args:
        path: the file.
        kind: what it should be, for the message.
        file: the open file, where `path` only names it.
    """
    with reading(path, kind), warnings.catch_warnings(), ExitStack() as stack:
        warnings.simplefilter("ignore")  # of what is wrong with a file, and of its size
        try:
            # given a path, Pillow maps some TIFF files into memory with rows of the wrong length
            picture = Image.open(file or stack.enter_context(path.open("rb")))
        except Image.DecompressionBombError:
            raise InputError(
                f"{path.name}: must have at most {LARGEST // 10**6} megapixels, got more. "
                "Shrink it first."
            ) from None
        except UnidentifiedImageError:
            raise InputError(
                f"{path.name}: must be a whole {kind} of a form that Pillow knows, got a truncated "
                "or damaged one, or another form. Copy it again, or save it as PNG."
            ) from None
        if picture.format == "TIFF":
            stack.enter_context(quiet())
        with picture:
            check_pixels(*picture.size, path)
            _turn_to_only_page(picture, path.name)
            yield picture


def _turn_to_only_page(picture: Image.Image, name: str) -> None:
    """Refuse several pages; a preview beside the picture is none.

    Cameras store previews as further pictures of a JPEG (CIPA DC-007, "MPO"), where the first is
    the picture, and in TIFF as pages whose NewSubfileType (tag 254) has bit 0.
    """
    pages = getattr(picture, "n_frames", 1)
    if pages == 1 or picture.format == "MPO":
        return
    whole = []
    if picture.format == "TIFF" and pages <= MOST_PAGES:
        for page in range(pages):
            picture.seek(page)
            if not int(picture.tag_v2.get(TAG["NewSubfileType"], 0)) & 1:  # type: ignore[attr-defined]
                whole.append(page)
    require(len(whole) == 1, f"{name}: must be one picture, got {pages} pages. Split it first.")
    picture.seek(whole[0])


def _grey(picture: Image.Image, name: str, depth: Depth) -> npt.NDArray[np.float32]:
    """Values of an upright picture in [0, 1]."""
    mode = picture.mode
    require(
        (depth.wide or mode in EIGHT_BIT) and not depth.signed,
        f"{name}: must have 8 or 16 bits per pixel, unsigned, got another depth (Pillow mode "
        f"{mode}). Save it as 16-bit PNG.",
    )
    if depth.wide:
        return depth.read(picture)
    if mode in HAS_ALPHA or mode == "CMYK" or "transparency" in picture.info:
        picture = to_rgb(picture)
    values = np.array(picture.convert("L"), np.float32)
    values /= np.float32(255)
    return values


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture of 8 bits per channel in RGB, transparency laid over black."""
    if picture.mode in HAS_ALPHA or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        picture = Image.alpha_composite(black, picture)
    return picture.convert("RGB")
