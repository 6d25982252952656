"""What transformations look like: images as they are and as they become, lesions outlined.

::

    Strip (an image, then what became of it) ──smaller, outlined──▶ a row of pictures

A transformation has a row an image, from weak to strong; whole views have one, too. Of a volume
three cuts stand below each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from common.report.audit.figures import place, setting_words, share
from common.report.audit.result import Audit, Scan, SetAudit, SetPictures, Step
from common.report.charts import framed, outline
from common.report.markup import Markup, anchored, figure, heading, paragraph, pictures, section
from common.report.words import plain, plural, sentence

__all__ = ["Detail", "Shown", "Strip", "looks", "strip_row"]

VISIBLE = 0.25  # share of a drawn pixel that the lesion must cover to be inside the outline
SCANNED = 2  # images of a transformation alone
COLUMNS = 6  # pictures of a row, the image included

Array = NDArray[Any]


@dataclass(frozen=True)
class Detail:
    """How much is drawn: images, pixels of a picture's longer side, and quality of WebP."""

    images: int
    side: int
    quality: int


@dataclass(frozen=True)
class Shown:
    """One image, or what a transformation made of it.

    Attributes:
        cuts: ``(cuts, H, W, C)`` uint8, C 1 or 3; one cut in 2D, three in 3D.
        masks: ``(cuts, H, W)``, the lesion; None where none is known.
        name: below the picture, such as "0 px to 2 px".
        words: below that.
        gone: whether nothing of the lesion is left.
    """

    cuts: Array
    masks: Array | None = None
    name: str = ""
    words: str = ""
    gone: bool = False


@dataclass(frozen=True)
class Strip:
    """An image and what became of it, in order."""

    name: str
    original: Shown
    steps: tuple[Shown, ...]


def looks(audit: Audit, number: int, detail: Detail) -> Markup:
    """The section of pictures of set `number`: whole views, then each transformation."""
    heading_ = "What the views look like"
    if audit.pictures is None or len(audit.pictures.images) == 0:
        words = "No pictures were kept."
        return section(place(number, "gallery"), heading_, paragraph(words))
    one, drawn = audit.sets[number], audit.pictures.sets[number]
    images = min(_rows(audit, detail.images), len(audit.pictures.images))
    views = [_views(audit, drawn, image) for image in range(images)]
    parts: list[Markup] = [strip_row(strip, detail) for strip in views]
    for at, scan in enumerate(one.scans):
        parts.append(anchored(place(number, f"scan-{at}"), *_scan(audit, drawn, at, scan, detail)))
    return section(
        place(number, "gallery"),
        heading_,
        paragraph(_note(audit, one), "note"),
        heading(f"Whole views of {plural(images, 'image')}"),
        *parts,
    )


def _rows(audit: Audit, images: int) -> int:
    """How many images are drawn; of volumes, whose rows are three cuts high, half as many."""
    return images if audit.images.spatial_dims == 2 else max(1, images // 2)


def _note(audit: Audit, one: SetAudit) -> str:
    words = "Each row is one image of the folder, first as it is."
    if audit.pictures is not None and audit.pictures.masks is not None:
        words += (
            " Red: outline of the lesion; gone: nothing of it is left in the view. "
            "Kept is counted by where the lesion lies; blur and noise are not counted."
        )
    if audit.images.spatial_dims == 3:
        words += (
            " Three cuts of each volume: sagittal, coronal, axial; through the lesion where it "
            "lies in that picture, so that they move with it, else as in the image as it is."
        )
    if one.scans:
        words += (
            " Below the whole views each transformation alone, from weak to strong; the numbers "
            "below a picture are of all images looked at, not of this one."
        )
    return words


def _views(audit: Audit, drawn: SetPictures, image: int) -> Strip:
    masks = None if drawn.masks is None else drawn.masks[image]
    original = _original(audit, image)
    steps = [
        _shown(view, None if masks is None else masks[at], original, f"view {at + 1}")
        for at, view in enumerate(drawn.views[image][: COLUMNS - 1])
    ]
    return Strip(f"image {image + 1}", original, tuple(steps))


def _scan(audit: Audit, drawn: SetPictures, at: int, scan: Scan, detail: Detail) -> list[Markup]:
    """A transformation's title and its rows; only the first row has words below it."""
    rows = [heading(f"{sentence(plain(scan.transformation))}{of_member(audit, scan.member)}")]
    masks = drawn.scan_masks[at]
    shown_images = _rows(audit, min(SCANNED, detail.images))
    for image, steps in enumerate(drawn.scans[at][:shown_images]):
        original = _original(audit, image)
        shown = tuple(
            _shown(step, None if masks is None else masks[image][k], original,
                   setting_words(scan.transformation, said.words),
                   "" if image else step_words(said, k == scan.strongest))
            for k, (step, said) in enumerate(zip(steps, scan.steps))
        )  # fmt: skip
        rows.append(strip_row(Strip(scan.transformation, original, shown), detail))
    return rows


def of_member(audit: Audit, member: str) -> str:
    """Name the kind of views in parentheses where its set has several."""
    several = any(
        len(one.members) > 1 and member in [each.name for each in one.members] for one in audit.sets
    )
    return f" ({member})" if several else ""


def step_words(step: Step, strongest: bool) -> str:
    """Say what a strength keeps, and whether it is the strongest that alone keeps enough."""
    kept = [
        f"{what} kept {share(estimate)}"
        for what, estimate in (("label", step.label_kept), ("lesions", step.lesions_kept))
        if estimate is not None
    ]
    return ", ".join(
        [*kept, *(["strongest that alone keeps enough"] if strongest and kept else [])]
    )


def _original(audit: Audit, image: int) -> Shown:
    assert audit.pictures is not None
    masks = audit.pictures.masks
    return Shown(audit.pictures.images[image], None if masks is None else masks[image], "as it is")


def _shown(cuts: Array, masks: Array | None, original: Shown, name: str, words: str = "") -> Shown:
    """What became of an image. Cuts go through the lesion: it is gone where none shows it."""
    known = masks is not None and original.masks is not None
    gone = known and bool(np.any(original.masks)) and not np.any(masks)
    return Shown(cuts, masks, name, words, gone)


def strip_row(strip: Strip, detail: Detail) -> Markup:
    """Return a strip as a row of pictures, the image first."""
    shown = [_figure(strip.name, one, detail) for one in (strip.original, *strip.steps)]
    return pictures(*shown, kind="strip")


def _figure(name: str, one: Shown, detail: Detail) -> Markup:
    masks: Sequence[Array | None] = [None] * len(one.cuts) if one.masks is None else list(one.masks)
    drawn = [
        framed(_drawn(cut, detail.side), f"{name}, {one.name}", _outlined(mask, detail.side),
               detail.quality)
        for cut, mask in zip(one.cuts, masks)
    ]  # fmt: skip
    return figure(*drawn, name=one.name, words=one.words, warning="lesion gone" if one.gone else "")


def _drawn(cut: Array, side: int) -> Array:
    """``(H, W)`` or ``(H, W, 3)`` in [0, 1] of a cut ``(H, W, C)`` uint8."""
    channels = [cut[..., k] for k in range(3 if cut.shape[-1] >= 3 else 1)]
    small = [_smaller(channel.astype(np.float32) / 255, side) for channel in channels]
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
