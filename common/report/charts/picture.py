"""Pictures inside the page: data addresses, nothing fetched."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.report.markup import element

__all__ = ["framed"]


def framed(image: NDArray[np.float64], title: str, *over: str) -> str:
    """Return an image as SVG, one unit a pixel, that fills the width it is given.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)``, [0, 1] from black to white.
        title: what it shows, for screen readers.
        over: SVG elements drawn over it, in pixels.
    """
    height, width = image.shape[:2]
    shown = element("image", href=_png(image), width=width, height=height)
    view = f"0 0 {width} {height}"
    return element("svg", shown, *over, viewBox=view, role="img", aria_label=title)


def _png(image: NDArray[np.float64]) -> str:
    """Return the image as a PNG data address."""
    levels = np.round(255 * np.clip(np.nan_to_num(image), 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
