"""A small, subtle, textured lesion put into an image of healthy anatomy.

Used by the phantoms and by the comparison on real brains, so that both pose the same question.
The lesion shifts no mean: its darker core and brighter speckle cancel, so that neither the sum of
the pixels nor any single pixel gives it away; only the local pattern does.

Ours: no paper describes it.
"""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.checks import require

__all__ = ["insert_lesion", "soft_blob"]

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def insert_lesion(
    image: Array, region: Mask, rng: np.random.Generator, radius: float, contrast: float
) -> tuple[Array, Mask]:
    """Blend one lesion into `image` at a random place inside `region`.

    Args:
        image: healthy anatomy, (H, W) or (D, H, W), values in [0, 1]; left unchanged.
        region: where the lesion may lie (brain, lung), same shape, bool.
        rng: source of the place, the outline and the texture.
        radius: mean radius in pixels, > 0.
        contrast: standard deviation of the added pattern in intensity units, in (0, 1].

    Returns:
        The image with the lesion (float32 in [0, 1]), and the lesion's mask (bool, not empty,
        inside `region`).

    Raises:
        InputError: shapes differ, the region is empty, or a setting is out of range.
    """
    require(
        image.ndim in (2, 3) and image.shape == region.shape,
        f"insert_lesion: image and region must share a 2D or 3D shape, got {image.shape} and "
        f"{region.shape}. Pass the region of the same image.",
    )
    require(bool(region.any()), "insert_lesion: region must hold at least one pixel, got none.")
    require(radius > 0, f"insert_lesion: radius must be positive (pixels), got {radius}.")
    require(0 < contrast <= 1, f"insert_lesion: contrast must lie in (0, 1], got {contrast}.")
    weight = soft_blob(region, rng, radius)
    mask = weight > 0.5
    pattern = _texture(image.shape, rng, radius) - _core(mask)
    pattern -= np.average(pattern, weights=weight)
    pattern /= np.sqrt(np.average(pattern**2, weights=weight)) + 1e-12
    lesion = np.clip(image + contrast * weight * pattern, 0.0, 1.0)
    return lesion.astype(np.float32), mask


def soft_blob(region: Mask, rng: np.random.Generator, radius: float) -> npt.NDArray[np.float64]:
    """Soft outline in [0, 1]: an ellipsoid with a wavy rim, one pixel of blending, in `region`.

    Its middle lies `radius` pixels or more from the region's border, or where that is deepest.
    """
    depth = ndimage.distance_transform_edt(np.pad(region, 1))[(slice(1, -1),) * region.ndim]
    candidates = np.argwhere(depth >= min(radius, float(depth.max())))
    centre = candidates[rng.integers(len(candidates))]
    grid = np.indices(region.shape).astype(np.float64)
    offset = grid - centre.reshape(-1, *(1,) * region.ndim)
    stretch = rng.uniform(0.8, 1.25, region.ndim).reshape(-1, *(1,) * region.ndim)
    distance = np.sqrt(((offset / stretch) ** 2).sum(0))
    wave = ndimage.gaussian_filter(rng.standard_normal(region.shape), radius / 2)
    wave /= wave.std() + 1e-12
    weight = np.clip(radius * (1 + 0.15 * wave) - distance + 0.5, 0.0, 1.0) * region
    weight[tuple(centre)] = 1.0
    return np.asarray(weight)


def _texture(
    shape: tuple[int, ...], rng: np.random.Generator, radius: float
) -> npt.NDArray[np.float64]:
    """Speckle of about a third of the lesion's radius, mean 0, standard deviation 1."""
    speckle = ndimage.gaussian_filter(rng.standard_normal(shape), max(radius / 5, 0.5))
    return np.asarray((speckle - speckle.mean()) / (speckle.std() + 1e-12))


def _core(mask: Mask) -> npt.NDArray[np.float64]:
    """Depth inside the lesion, 0 at its rim and 2 at its centre: the darker core."""
    depth = ndimage.distance_transform_edt(mask)
    return np.asarray(2 * depth / max(float(depth.max()), 1.0))
