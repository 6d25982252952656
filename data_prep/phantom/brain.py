"""A brain that is nobody's: skull, folded cortex, ventricles that widen with age, three sites.

Coordinates are (x right, y front, z head) in [-1, 1]. Ours; no paper describes it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.texture import Field, soft_step

__all__ = ["DIMS", "IMAGES", "LESION_CONTRAST", "LESION_RADIUS", "Brain", "frame_points"]

Array = npt.NDArray[np.float32]

DIMS = (2, 3)
IMAGES = 12  # slices of a patient
LESION_RADIUS = 0.065  # of the image side
LESION_CONTRAST = 0.12  # standard deviation of the pattern
LOWEST, HIGHEST = -0.3, 0.5  # slices, as a share of half the head

# exponent of the intensities, gain, noise
SITES = ((0.85, 1.0, 0.015), (1.0, 0.9, 0.022), (1.2, 1.05, 0.03))


@dataclass
class Brain:
    """One patient's anatomy.

    Args:
        rng: draws the anatomy and, at each call, the noise.
        age: years.
        site: 0, 1 or 2.
    """

    rng: np.random.Generator
    age: float
    site: int

    def __post_init__(self) -> None:
        """Draw what stays the same in every image of the patient."""
        rng = self.rng
        self.axes = (np.array([0.74, 0.9, 0.88]) * rng.uniform(0.92, 1.04, 3)).astype(np.float32)
        self.outline = Field(rng, 2.0)
        self.folds = Field(rng, 9.0)
        self.tissue = Field(rng, 22.0)
        self.shading = Field(rng, 1.2)
        self.ventricle = 0.05 + 0.11 * (self.age - 20) / 60 + rng.normal(0, 0.012)
        self.tilt = rng.normal(0, 0.04, 2)
        self.cortex = 0.09  # thickness, in units of the coordinates
        self.sulcus = 0.25  # width, in units of the folds
        self.nuclei = 1.0  # size, relative
        self.darkness = 0.1  # of the nuclei against white matter
        self.scanner = SITES[self.site]

    def __call__(self, points: Array, pixel: float) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Intensities in [0, 1] and the region where a lesion may lie.

        Args:
            points: (..., 3).
            pixel: distance of two pixels.
        """
        rim = np.sqrt(((points / self.axes) ** 2).sum(-1)) + 0.02 * self.outline(points)
        depth = 0.84 - rim
        folds = self.folds(points)
        sulci = np.exp(-((folds / self.sulcus) ** 2)) * np.exp(
            -((np.maximum(depth, 0) / 0.13) ** 2)
        )
        white = soft_step(depth - self.cortex - 0.04 * folds, pixel)
        fluid = np.maximum.reduce([sulci, self._ventricles(points, pixel), self._fissure(points)])
        brain = 0.5 + 0.22 * white - self.darkness * self._nuclei(points, pixel)
        brain = (brain + 0.035 * self.tissue(points)) * (1 - fluid) + 0.12 * fluid
        inside = soft_step(depth, pixel)
        scalp = soft_step(1.0 - rim, pixel) * soft_step(rim - 0.94, pixel)
        image = brain * inside + 0.75 * scalp + 0.1 * soft_step(0.94 - rim, pixel) * (1 - inside)
        region = (depth > 0.04) & (self._ventricles(points, pixel) < 0.1)
        return self._scanned(image, points), region

    def _ventricles(self, points: Array, pixel: float) -> Array:
        """Two curved bodies beside the midline."""
        x, y, z = np.moveaxis(points, -1, 0)
        wide = max(self.ventricle, 0.03)
        side = (np.abs(x - self.tilt[0] * y) - 0.07 - 0.5 * wide - 0.15 * y**2) / wide
        radius = np.sqrt(side**2 + ((y + 0.05) / (0.3 + wide)) ** 2 + ((z - 0.1) / 0.28) ** 2)
        return soft_step((1 - radius) * wide, pixel)

    def _nuclei(self, points: Array, pixel: float) -> Array:
        """Deep grey matter: an ellipsoid on either side."""
        x, y, z = np.moveaxis(points, -1, 0)
        offset = ((np.abs(x) - 0.25) / 0.1) ** 2 + ((y - 0.02) / 0.22) ** 2 + (z / 0.22) ** 2
        return soft_step((self.nuclei - np.sqrt(offset)) * 0.1, pixel)

    def _fissure(self, points: Array) -> Array:
        """The dark line between the hemispheres, at the front, the back and the top."""
        x, y, z = np.moveaxis(points, -1, 0)
        away = soft_step(np.maximum(np.abs(y) - 0.35, z - 0.35), 0.05)
        return np.asarray(np.exp(-(((x - self.tilt[0] * y) / 0.02) ** 2)) * away)

    def _scanned(self, image: Array, points: Array) -> Array:
        """Bias field, the site's contrast and gain, and noise."""
        exponent, gain, noise = self.scanner
        shaded = np.clip(image, 0, 1) ** exponent * gain * (1 + 0.1 * self.shading(points))
        shaded += noise * self.rng.standard_normal(image.shape, np.float32)
        return np.asarray(np.clip(shaded, 0.0, 1.0))


def frame_points(size: int, dims: int, index: int, count: int) -> Array:
    """Points of image `index` of `count`.

    Returns:
        For 2D (size, size, 3): an axial slice, front on top and patient's right on the left, moved
        up the head with `index`. For 3D (size, size, size, 3) in (x, y, z) order.
    """
    line = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    if dims == 3:
        return np.stack(np.meshgrid(line, line, line, indexing="ij"), -1)
    y, x = np.meshgrid(-line, -line, indexing="ij")
    share = (index + 0.5) / count
    return np.stack([x, y, np.full_like(x, LOWEST + (HIGHEST - LOWEST) * share)], -1)
