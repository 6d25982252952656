"""Smooth random fields that can be evaluated anywhere, so slices of one patient fit together."""

import numpy as np
import numpy.typing as npt

__all__ = ["Field", "soft_step"]

Array = npt.NDArray[np.float32]


class Field:
    """A Gaussian random field: a sum of cosines (Rahimi and Recht 2007, random Fourier features).

    Args:
        rng: draws its frequencies and phases.
        frequency: standard deviation of the angular frequencies, per unit of length.
        terms: number of cosines.
        dims: coordinates of a point.
    """

    def __init__(
        self, rng: np.random.Generator, frequency: float, terms: int = 24, dims: int = 3
    ) -> None:
        self.frequencies = rng.normal(0.0, frequency, (terms, dims)).astype(np.float32)
        self.phases = rng.uniform(0.0, 2 * np.pi, terms).astype(np.float32)

    def __call__(self, points: Array) -> Array:
        """Values of mean 0 and variance 1: (..., dims) to (...)."""
        angles = points.reshape(-1, points.shape[-1]) @ self.frequencies.T
        angles += self.phases
        values = np.cos(angles, out=angles).sum(1) * np.float32(np.sqrt(2.0 / len(self.phases)))
        return np.asarray(values.reshape(points.shape[:-1]))


def soft_step(values: Array, width: float) -> Array:
    """0 well below zero, 1 well above, over about `width`: an edge seen through a scanner."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / np.float32(width)))
