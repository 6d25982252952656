"""Fundus photographs: the field of view found, cut out, padded square; one reader for all uses."""

from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from common.checks import require
from common.data.dicom_mark import is_dicom
from common.data.picture import Depth, eight_bits, opened, to_rgb
from common.data.reading import check_shown

__all__ = ["MARK", "Field", "cut_fundus", "find_field", "read_fundus"]

Pixels = npt.NDArray[np.uint8]

MARK = ("Preparation", "fundus: field of view cut out")  # PNG text of a picture cut already
SMALLEST = 32  # pixels of a side
LOOK = 256  # pixels of the longer side of the small copy in which the field is looked for
DARKEST = 10  # of 255: compression leaves noise below it in a black border
SHARE_OF_CENTRE = 0.2  # of the brightness in the middle, which the dark rim of the field exceeds
SMALLEST_FIELD = 0.1  # share of the picture
NEAR = 0.01  # share of a side
ROUND = 0.6  # share of the circle about its longer side that a field covers


@dataclass(frozen=True)
class Field:
    """Where the field of view lies, in pixels of the picture.

    Args:
        left: first column.
        top: first row.
        right: column after the last.
        bottom: row after the last.
        found: False where nothing like a disc stands out; then the field is the whole picture.
    """

    left: int
    top: int
    right: int
    bottom: int
    found: bool


def read_fundus(path: str | Path, size: int, file: IO[bytes] | None = None) -> tuple[Pixels, bool]:
    """Read a fundus photograph as a square of the field of view.

    The picture is turned upright as its EXIF orientation says; 16-bit values become 8-bit, CMYK,
    grey and palettes RGB, transparency black; the field is cut out (`find_field`), padded with
    black to a square and resized (Lanczos, antialiased). A large JPEG is decoded at an eighth,
    quarter or half of its size where that leaves at least twice `size` pixels. A PNG with the
    `MARK` of ``data_prep`` is cut already.

    Args:
        path: PNG, JPEG, TIFF, BMP or DICOM (ophthalmic photography, PS3.3 A.41).
        size: pixels of a side.
        file: the open file, where `path` only names it, as inside an archive; a picture.

    Returns:
        ``(size, size, 3)`` uint8, and whether a field was found.

    Raises:
        InputError: unreadable, truncated, black or of one colour, smaller than 32 pixels or larger
            than 178 megapixels.
    """
    path = Path(path)
    if file is None and is_dicom(path):
        from common.data.dicom import read_dicom_colour

        picture, cut = Image.fromarray(read_dicom_colour(path)), False
    else:
        picture, cut = _picture(path, size, file)
    return cut_fundus(picture, size, path.name, cut)


def cut_fundus(
    picture: Image.Image, size: int, name: str, cut: bool = False
) -> tuple[Pixels, bool]:
    """Do as `read_fundus` with an upright RGB picture that is at hand.

    Args:
        picture: RGB.
        size: pixels of a side.
        name: what an error calls it.
        cut: whether its field is cut out already.

    Raises:
        InputError: black or of one colour, or smaller than 32 pixels.
    """
    require(
        min(picture.size) >= SMALLEST,
        f"{name}: must have at least {SMALLEST} pixels a side, got {picture.size[0]} x "
        f"{picture.size[1]}. Leave it out.",
    )
    require(
        int(np.asarray(picture).max()) > DARKEST,
        f"{name}: must show something, got a black picture. Leave it out.",
    )
    field = Field(0, 0, *picture.size, True) if cut else find_field(picture)
    square = _square(picture, field, size)
    check_shown(np.moveaxis(square, -1, 0), name)
    return square, field.found


def _picture(path: Path, size: int, file: IO[bytes] | None) -> tuple[Image.Image, bool]:
    """Open one picture, upright, in RGB; and whether it was cut already."""
    with opened(path, "picture", file) as picture:
        picture.draft("RGB", (2 * size, 2 * size))
        depth, cut = Depth(picture), picture.info.get(MARK[0]) == MARK[1]
        picture.load()
        return to_rgb(eight_bits(ImageOps.exif_transpose(picture), depth, path.name)), cut


def find_field(picture: Image.Image) -> Field:
    """Find the bright disc of a fundus camera on its dark ground.

    In a small copy, what is brighter than a fifth of the middle (greatest channel, at least 10 of
    255) and hangs together with the largest such piece is the field, without spurs: text, marks
    and the noise of dark borders stay out. A field covers at least a tenth of the picture and
    three fifths of the circle about its longer side; what does not is not found. A field that
    comes as near as a hundredth to a border of the picture reaches it, so that a picture that was
    cut already stays as it is.

    Args:
        picture: RGB.

    Returns:
        The box about it, or the whole picture.

    """
    from scipy import ndimage  # slow to load, and no other kind of image needs it

    width, height = picture.size
    whole = Field(0, 0, width, height, False)
    shrink = max(1, -(-max(width, height) // LOOK))
    small = np.asarray(picture.reduce(shrink)).max(axis=2)
    rows, columns = small.shape
    middle = small[rows // 4 : -(-3 * rows // 4), columns // 4 : -(-3 * columns // 4)]
    bright = small > max(DARKEST, SHARE_OF_CENTRE * float(np.median(middle)))
    bright = ndimage.binary_opening(np.pad(bright, 2, mode="edge"), iterations=2)[2:-2, 2:-2]
    pieces, count = ndimage.label(bright)
    if count == 0:
        return whole
    field = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    top, bottom = _extent(field.any(axis=1))
    left, right = _extent(field.any(axis=0))
    area = ndimage.binary_fill_holes(field).sum()
    circle = np.pi / 4 * max(bottom - top, right - left) ** 2
    if area < SMALLEST_FIELD * field.size or area < ROUND * circle:
        return whole
    edges = [shrink * edge for edge in (left, top, right, bottom)]
    return Field(
        0 if left <= NEAR * columns else edges[0],
        0 if top <= NEAR * rows else edges[1],
        width if right >= (1 - NEAR) * columns else edges[2],
        height if bottom >= (1 - NEAR) * rows else edges[3],
        True,
    )


def _extent(inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    places = np.flatnonzero(inside)
    return int(places[0]), int(places[-1]) + 1


def _square(picture: Image.Image, field: Field, size: int) -> Pixels:
    """Cut out the field, pad it to a square about its middle, and resize."""
    width, height = field.right - field.left, field.bottom - field.top
    side = max(width, height)
    cut = picture.crop((field.left, field.top, field.right, field.bottom))
    square = Image.new("RGB", (side, side))
    square.paste(cut, ((side - width) // 2, (side - height) // 2))
    if side != size:
        square = square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return np.array(square)
