"""What a person sees of an image: PNG, as it lies in the file or with the map of a score."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from common.checks import InputError
from common.data import read_image
from common.data.image import is_picture
from common.data.in_memory import NAME
from common.data.reading import reading
from common.deploy import Explanation

__all__ = ["overlay", "picture"]

SIDE = 1024  # pixels of the longer side, at most
LEAST = 512  # of a map over an image
RAISES, LOWERS = (1.0, 0.45, 0.1), (0.2, 0.5, 1.0)
STRENGTH = 0.55

Floats = NDArray[np.floating]


def picture(path: Path, index: int | None = None) -> bytes:
    """Return an image as PNG.

    Args:
        path: an image, a volume, or the folder of a DICOM series (its middle file is shown).
        index: axial slice of a volume; None for the middle cut of each axis, side by side.

    Raises:
        InputError: it cannot be read.
    """
    if path.is_dir():
        files = sorted(
            one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")
        )
        if not files:
            raise InputError(f"{NAME}: must hold images, got an empty folder.")
        path = files[len(files) // 2]
    if is_picture(path):
        with reading(path, "picture"), Image.open(path) as opened:
            shown = ImageOps.exif_transpose(opened)
            wide = shown.mode.startswith(("I", "F"))
            if not wide:
                return _png(shown.convert("RGB"))
    pixels = read_image(path, index)
    return _png(Image.fromarray(_bytes(_flat(pixels))))


def overlay(one: Explanation) -> bytes:
    """Return an image as the network saw it, with the map over it: orange raises, blue lowers."""
    values = next(iter(one.maps.values()))
    place = np.unravel_index(np.abs(values).argmax(), values.shape)
    image, cuts = one.image, range(values.ndim) if values.ndim == 3 else [-1]
    strongest = max(float(np.abs(values).max()), 1e-12)
    tinted = []
    for axis in cuts:
        grey = image if axis < 0 else np.take(image, int(place[axis]), axis + 1)
        share = values if axis < 0 else np.take(values, int(place[axis]), axis)
        tinted.append(_tinted(_scaled(grey), share / strongest, turn=axis >= 0))
    picture_ = Image.fromarray(_bytes(_beside(tinted)))
    factor = max(1, -(-LEAST // max(picture_.size)))
    return _png(picture_.resize((picture_.width * factor, picture_.height * factor)))


def _flat(pixels: Floats) -> Floats:
    """``(H, W)`` of ``(1, H, W)``, or the three middle cuts of ``(1, X, Y, Z)``."""
    if pixels.ndim == 3:
        return np.asarray(pixels[0])
    cuts = [pixels[0].take(size // 2, axis) for axis, size in enumerate(pixels.shape[1:])]
    return _beside([np.rot90(cut) for cut in cuts])


def _beside(images: list[Floats]) -> Floats:
    """Images of any size in a row, in the middle of its height."""
    height = max(image.shape[0] for image in images)
    padded = []
    for image in images:
        over = height - image.shape[0]
        width = [(over // 2, over - over // 2)] + [(0, 0)] * (image.ndim - 1)
        padded.append(np.pad(image, width))
    return np.concatenate(padded, axis=1)


def _scaled(image: Floats) -> Floats:
    """``(H, W, 3)`` between 0 and 1 of ``(C, H, W)``, in grey: a retina is as orange as a map."""
    low, high = float(image.min()), float(np.quantile(image, 0.998))
    flat = np.clip((image - low) / max(high - low, 1e-12), 0, 1)
    grey = flat[:3].mean(axis=0) if len(flat) >= 3 else flat[0]
    return np.repeat(grey[..., None], 3, axis=2)


def _tinted(image: Floats, share: Floats, turn: bool) -> Floats:
    weight = np.clip(share, -1, 1)[..., None]
    colour = np.where(weight >= 0, RAISES, LOWERS)
    shown = image + STRENGTH * np.abs(weight) * (colour - image)
    return np.rot90(shown) if turn else shown


def _bytes(image: Floats) -> NDArray[np.uint8]:
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def _png(image: Image.Image) -> bytes:
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
