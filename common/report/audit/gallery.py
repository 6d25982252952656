"""Images as they are and as transformations make them, side by side, lesions outlined.

::

    Strip (an image, then what became of it) ──cuts, outlines──▶ a row of pictures

The first row of a transformation goes from weak to strong; rows of whole views are a strip, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.report.charts import framed, outline
from common.report.markup import Markup, block, figure, pictures
from common.report.words import percent

__all__ = ["Detail", "Gallery", "Shown", "Strip", "strip_row"]

KEPT = 0.5  # a lesion counts as kept when at least this share of its mass is left
VISIBLE = 0.25  # share of a drawn pixel that the lesion must cover to be inside the outline
UNIT = (-0.01, 1.01)
QUANTILES = (0.002, 0.998)

Array = NDArray[Any]


@dataclass(frozen=True)
class Shown:
    """One image, or what a transformation made of it.

    Attributes:
        image: ``(C, *spatial)``, 2D or 3D; three channels are shown as colours, of others the
            first.
        mask: ``(*spatial)``, the lesion, moved as the image was; None where none is known.
        words: below the picture, such as "rotation 90°".
        kept: share of the lesion's mass that is left, or None.
    """

    image: Array
    mask: Array | None = None
    words: str = ""
    kept: float | None = None


@dataclass(frozen=True)
class Strip:
    """An image and what became of it: by one transformation from weak to strong, or whole views.

    Attributes:
        name: of the transformation, or of the image.
        original: the image.
        steps: what became of it, in order.
    """

    name: str
    original: Shown
    steps: tuple[Shown, ...]


@dataclass(frozen=True)
class Gallery:
    """What a set of transformations looks like.

    Attributes:
        strips: of each transformation, one or several images.
        views: whole views, an image each.
    """

    strips: tuple[Strip, ...]
    views: tuple[Strip, ...]


@dataclass(frozen=True)
class Detail:
    """How finely pictures are drawn: pixels of the longer side, and quality of WebP."""

    side: int
    quality: int


def strip_row(strip: Strip, detail: Detail, title: str = "") -> Markup:
    """Return a strip as a row of pictures, the image first; of volumes three cuts each.

    Args:
        strip: the image and what became of it.
        detail: how finely.
        title: of the row; none where the row above is of the same transformation.
    """
    window = _window(strip.original.image)
    place = _place(strip.original)
    shown = [_figure(strip, strip.original, "as it is", place, window, detail)]
    shown += [_figure(strip, step, step.words, place, window, detail) for step in strip.steps]
    row = pictures(*shown, kind="strip")
    return block(title, row) if title else row


def _figure(
    strip: Strip,
    one: Shown,
    name: str,
    place: Sequence[int],
    window: tuple[float, float],
    detail: Detail,
) -> Markup:
    if one.mask is not None and one.image.ndim == 4 and one.mask.any():
        place = _place(one)
    title = f"{strip.name}, {name}"
    drawn = [
        framed(_scaled(plane, window, detail.side), title, _outlined(mask, detail.side),
               detail.quality)
        for plane, mask in cuts(one, place)
    ]  # fmt: skip
    lost = one.kept is not None and one.kept < KEPT
    warning = f"lesion lost: {percent(round(one.kept or 0.0, 2))} left" if lost else ""
    return figure(*drawn, name=name, warning=warning)


def cuts(one: Shown, place: Sequence[int]) -> list[tuple[Array, Array | None]]:
    """Return planes ``(C, H, W)`` with their masks ``(H, W)``: the image, or three cuts of it.

    Args:
        one: 2D or 3D.
        place: the voxel that all cuts of a volume go through.
    """
    if one.image.ndim == 3:
        return [(one.image, one.mask)]
    planes = []
    for axis, at in enumerate(place):
        plane = np.rot90(one.image.take(at, axis + 1), axes=(1, 2))
        mask = None if one.mask is None else np.rot90(one.mask.take(at, axis))
        planes.append((plane, mask))
    return planes


def _place(one: Shown) -> tuple[int, ...]:
    """The middle of the lesion, or of the image."""
    if one.mask is not None and one.mask.any():
        inside = np.argwhere(one.mask)
        middle = inside[np.abs(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
        return tuple(int(at) for at in middle)
    return tuple(size // 2 for size in one.image.shape[1:])


def _window(image: Array) -> tuple[float, float]:
    """What is black and what is white, for a whole strip: 0 and 1, or the ends of the image."""
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    if UNIT[0] <= low and high <= UNIT[1]:
        return 0.0, 1.0
    low, high = (float(end) for end in np.nanquantile(image, QUANTILES))
    return low, max(high, low + 1e-12)


def _scaled(plane: Array, window: tuple[float, float], side: int) -> Array:
    """``(H, W)`` or ``(H, W, 3)`` in [0, 1], its longer side at most `side` pixels."""
    low, high = window
    flat = np.clip((np.nan_to_num(plane).astype(np.float32) - low) / (high - low), 0, 1)
    small = [_smaller(channel, side) for channel in (flat if len(flat) == 3 else flat[:1])]
    return np.stack(small, axis=-1) if len(small) == 3 else small[0]


def _outlined(mask: Array | None, side: int) -> str:
    return "" if mask is None else outline(_smaller(mask.astype(np.float32), side) >= VISIBLE)


def _smaller(plane: Array, side: int) -> Array:
    """Averaged down so that the longer side is at most `side` pixels."""
    factor = max(plane.shape) / side
    if factor <= 1:
        return plane
    height, width = (max(1, round(length / factor)) for length in plane.shape)
    small = Image.fromarray(plane).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small)
