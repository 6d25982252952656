"""Pictures inside the page: data addresses, nothing fetched."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.report.markup import Markup, render

__all__ = ["framed"]


def framed(image: NDArray[np.float64], title: str, outline: str = "") -> Markup:
    """Return an image as SVG, one unit a pixel, that fills the width it is given.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)``, [0, 1] from black to white.
        title: what it shows, for screen readers.
        outline: an SVG path drawn over it, in pixels.
    """
    height, width = image.shape[:2]
    return render(
        "picture", href=_png(image), width=width, height=height, title=title, outline=outline
    )


def _png(image: NDArray[np.float64]) -> str:
    """Return the image as a PNG data address."""
    levels = np.round(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
