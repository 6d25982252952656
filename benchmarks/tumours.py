"""Tumour-like lesions in slices of healthy brains, with the contrast of FLAIR.

A tumour as BraTS shows it: large, of a hyperintense core in a rim of oedema, anywhere in the brain.
So that the eye finds it at once and the sum of the pixels does not, every picture, with a tumour or
without, has a brightness of its own and a smooth field of brightness over it, as coils make them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from data_prep.phantom.lesion import soft_blob

Picture = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_T1 = (0.0, 0.15, 0.3, 0.5, 0.8, 1.0)  # fluid is dark in both, grey matter brighter than white
_FLAIR = (0.0, 0.05, 0.25, 0.55, 0.42, 0.4)


class Tumour(NamedTuple):
    """How large and how bright.

    `smallest` and `largest` radius of the oedema in pixels, of which the core has about half;
    brightness of `core` and `oedema` in [0, 1]; `field`, the standard deviation of the logarithm of
    the brightness over a picture, its `width` in pixels, and `gain`, its greatest change from
    picture to picture.
    """

    smallest: float = 6.0
    largest: float = 14.0
    core: float = 1.0
    oedema: float = 0.85
    field: float = 0.3
    gain: float = 0.4
    width: float = 14.0

    positions = range(18, 42)  # 24 slices, 3 mm apart

    def drawn(
        self, picture: npt.NDArray[np.uint8], sick: bool, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.uint8], Mask]:
        """Return a T1 picture as FLAIR shows it, a tumour in it if it is sick, and its mask."""
        image, mask = flair_like(picture), np.zeros(picture.shape, bool)
        if sick:
            brain = ndimage.binary_fill_holes(picture > 0)
            region = ndimage.binary_erosion(brain, iterations=2)
            image, mask = insert_tumour(image, region, rng, self)
        image = uneven(image, rng, self) * (picture > 0)
        return np.rint(image * 255).astype(np.uint8), mask


def flair_like(t1: npt.NDArray[np.uint8]) -> Picture:
    """Contrast of FLAIR from the bytes of a T1-weighted picture, in [0, 1]."""
    return np.interp(t1 / 255, _T1, _FLAIR).astype(np.float32)


def insert_tumour(
    image: Picture, region: Mask, rng: np.random.Generator, tumour: Tumour
) -> tuple[Picture, Mask]:
    """Put one tumour into `image` with its middle deep inside `region`; return it and its mask.

    Both ``(H, W)`` or ``(D, H, W)``, the image in [0, 1]; the mask holds core and oedema.
    """
    weight = 0.85 * soft_blob(region, rng, rng.uniform(tumour.smallest, tumour.largest))
    mask = weight > 0.5 * 0.85
    depth = ndimage.distance_transform_edt(mask)
    core = np.clip((depth / max(float(depth.max()), 1.0) - 0.45) / 0.15, 0, 1)
    texture = ndimage.gaussian_filter(rng.standard_normal(image.shape), 1.5)
    level = tumour.oedema + (tumour.core - tumour.oedema) * core
    level = level * (1 + 0.08 * texture / texture.std())
    return np.clip(image * (1 - weight) + level * weight, 0, 1).astype(np.float32), mask


def uneven(image: Picture, rng: np.random.Generator, tumour: Tumour) -> Picture:
    """Give a picture its own brightness and its smooth field of brightness; black stays black."""
    smooth = ndimage.gaussian_filter(rng.standard_normal(image.shape), tumour.width, mode="wrap")
    field = np.exp(tumour.field * smooth / smooth.std())
    changed = image * field * rng.uniform(1 - tumour.gain, 1 + tumour.gain)
    return np.asarray(np.clip(changed, 0, 1), np.float32)
