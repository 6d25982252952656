"""A chest film that is nobody's: lungs, ribs, heart, diaphragm, spine; three sites.

Coordinates are (x to the viewer's right, y down) in [-1, 1]. Ours; no paper describes it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data_prep.phantom.texture import Field, soft_step

__all__ = [
    "DIMS",
    "IMAGES",
    "LESION_CONTRAST",
    "LESION_RADIUS",
    "Chest",
    "findings",
    "frame_points",
]

Array = npt.NDArray[np.float32]

DIMS = (2,)
IMAGES = 8  # films of a patient
LESION_RADIUS = 0.06  # of the image side
LESION_CONTRAST = 0.075  # standard deviation of the pattern

WIDE_HEART = 0.29  # about half of the patients
# exponent of the intensities, gain, noise
SITES = ((0.85, 1.0, 0.012), (1.0, 0.92, 0.02), (1.25, 1.05, 0.028))


@dataclass
class Chest:
    """One patient's anatomy.

    Args:
        rng: draws the anatomy and, at each call, position and noise.
        age: years; the heart widens and the ribs fade with it.
        site: 0, 1 or 2.
    """

    rng: np.random.Generator
    age: float
    site: int

    def __post_init__(self) -> None:
        """Draw what stays the same in every film of the patient."""
        rng = self.rng
        self.lung = (np.array([0.3, 0.62]) * rng.uniform(0.9, 1.1, 2)).astype(np.float32)
        self.apart = 0.36 * rng.uniform(0.95, 1.08)
        self.heart = np.float32(0.24 + 0.1 * (self.age - 20) / 60 + rng.normal(0, 0.02))
        self.rib_phase = rng.uniform(0, 2 * np.pi)
        self.rib_pitch = rng.uniform(17, 21)
        self.rib_slope = rng.uniform(0.5, 0.9)
        self.vessels = Field(rng, 14.0, dims=2)
        self.outline = Field(rng, 3.0, dims=2)
        self.shading = Field(rng, 1.0, dims=2)

    def __call__(self, points: Array, pixel: float) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Intensities in [0, 1] and the lung fields outside the heart.

        Args:
            points: (..., 2).
            pixel: distance of two pixels.
        """
        shift = self.rng.normal(0, 0.03, 2).astype(np.float32)
        points = (points - shift) * np.float32(self.rng.uniform(0.95, 1.05))
        x, y = np.moveaxis(points, -1, 0)
        inhaled = np.float32(self.rng.uniform(-0.05, 0.05))
        lungs = self._lungs(points, inhaled, pixel)
        heart = self._heart(x, y, pixel)
        ribs = self._ribs(x, y) * (0.12 - 0.04 * (self.age - 20) / 60)
        body = soft_step(0.93 + 0.05 * self.outline(points) * 0.3 - np.abs(x), 2 * pixel)
        spine = 0.12 * np.exp(-((x / 0.09) ** 2))
        air = 0.22 + ribs + 0.05 * self.vessels(points)
        tissue = 0.68 + spine + 0.3 * ribs
        image = body * (tissue * (1 - lungs) + air * lungs)
        image = image * (1 - 0.8 * heart * lungs) + 0.7 * heart * lungs
        return self._exposed(image, points), (lungs > 0.9) & (heart < 0.1)

    def _lungs(self, points: Array, inhaled: np.float32, pixel: float) -> Array:
        """Two ellipses, flattened below by the domes of the diaphragm."""
        x, y = np.moveaxis(points, -1, 0)
        across = (np.abs(x) - self.apart) / self.lung[0]
        radius = np.sqrt(across**2 + ((y + 0.08) / self.lung[1]) ** 2)
        edge = (1 - radius) * 0.3 + 0.02 * self.outline(points)
        dome = np.float32(0.42) + inhaled + np.float32(0.25) * (np.abs(x) - self.apart) ** 2
        return soft_step(edge, pixel) * soft_step(dome - y, pixel)

    def _heart(self, x: Array, y: Array, pixel: float) -> Array:
        """An ellipse left of the midline: on the viewer's right."""
        radius = np.sqrt(((x - 0.12) / self.heart) ** 2 + ((y - 0.2) / 0.28) ** 2)
        return soft_step((1 - radius) * self.heart, 1.5 * pixel)

    def _ribs(self, x: Array, y: Array) -> Array:
        """Arcs that fall away from the spine."""
        height = y - self.rib_slope * (np.abs(x) - 0.1) ** 2
        return np.asarray(np.maximum(np.sin(self.rib_pitch * height + self.rib_phase), 0) ** 2)

    def _exposed(self, image: Array, points: Array) -> Array:
        """Uneven exposure, the site's contrast and gain, and noise."""
        exponent, gain, noise = SITES[self.site]
        shown = np.clip(image, 0, 1) ** exponent * gain * (1 + 0.06 * self.shading(points))
        shown += noise * self.rng.standard_normal(image.shape, np.float32)
        return np.asarray(np.clip(shown, 0.0, 1.0), np.float32)


def frame_points(size: int, dims: int, index: int, count: int) -> Array:
    """Points of a film, (size, size, 2); the same for every film."""
    line = ((np.arange(size) + 0.5) / size * 2 - 1).astype(np.float32)
    y, x = np.meshgrid(line, line, indexing="ij")
    return np.stack([x, y], -1)


def findings(anatomy: Chest, mask: npt.NDArray[np.bool_] | None, index: int) -> dict[str, int]:
    """Columns named as CheXpert's five findings, which have nothing medical but the wide heart.

    They say where the lesion lies: anywhere (consolidation), in the upper half (atelectasis), the
    lower half (edema), or on the viewer's right (pleural_effusion). Each is -1, "uncertain", on
    every fifth film.

    Args:
        anatomy: of the patient.
        mask: of the lesion; None where there is none.
        index: of the film, from 0.
    """
    row, column = (0.0, 0.0) if mask is None else np.argwhere(mask).mean(axis=0) / len(mask)
    lesion = mask is not None
    present = {
        "atelectasis": lesion and row < 0.5,
        "cardiomegaly": bool(anatomy.heart > WIDE_HEART),
        "consolidation": lesion,
        "edema": lesion and row >= 0.5,
        "pleural_effusion": lesion and column >= 0.5,
    }
    return {
        name: -1 if (index + number) % 5 == 4 else int(value)
        for number, (name, value) in enumerate(present.items())
    }
