"""Pictures inside the page: data addresses, nothing fetched."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.report.markup import Markup, render

__all__ = ["framed", "outline"]


def framed(
    image: NDArray[np.float64], title: str, outline: str = "", quality: int | None = None
) -> Markup:
    """Return an image as SVG, one unit a pixel, that fills the width it is given.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)``, [0, 1] from black to white.
        title: what it shows, for screen readers.
        outline: an SVG path drawn over it, in pixels.
        quality: of lossy WebP, 1 to 100, which is several times smaller; PNG unless given.
    """
    height, width = image.shape[:2]
    return render(
        "picture", href=_address(image, quality), width=width, height=height, title=title,
        outline=outline,
    )  # fmt: skip


def outline(inside: NDArray[np.bool_]) -> str:
    """Return an SVG path along the pixel borders between inside and outside.

    >>> outline(np.array([[False, True, True]]))
    'M1 0h2M1 1h2M1 0v1M3 0v1'
    """
    padded = np.pad(inside, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]
    down = padded[1:-1, 1:] != padded[1:-1, :-1]
    path = [f"M{start} {y}h{length}" for y, start, length in _runs(across)]
    return "".join(path + [f"M{x} {start}v{length}" for x, start, length in _runs(down.T)])


def _runs(marked: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
    """(row, first place, length) of what is marked without a gap."""
    steps = np.diff(np.pad(marked, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    ends = zip(np.argwhere(steps > 0).tolist(), np.argwhere(steps < 0).tolist())
    return [(row, start, end - start) for (row, start), (_, end) in ends]


def _address(image: NDArray[np.float64], quality: int | None) -> str:
    """Return the image as a data address."""
    levels = np.round(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    if quality is None:
        Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    else:
        Image.fromarray(levels).save(buffer, format="WEBP", quality=quality)
    kind = "png" if quality is None else "webp"
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
