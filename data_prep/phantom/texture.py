"""Smooth random fields that can be evaluated anywhere, so slices of one patient fit together."""

import numpy as np
import numpy.typing as npt

__all__ = ["Field", "soft_step"]

Array = npt.NDArray[np.float64]


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
        self.frequencies = rng.normal(0.0, frequency, (terms, dims))
        self.phases = rng.uniform(0.0, 2 * np.pi, terms)

    def __call__(self, points: Array) -> Array:
        """Values of mean 0 and variance 1: (..., dims) to (...)."""
        total = np.zeros(points.shape[:-1])
        for frequency, phase in zip(self.frequencies, self.phases):
            total += np.cos(points @ frequency + phase)
        return np.asarray(total * np.sqrt(2.0 / len(self.phases)))


def soft_step(values: Array, width: float) -> Array:
    """0 well below zero, 1 well above, over about `width`: an edge seen through a scanner."""
    return np.asarray(0.5 + 0.5 * np.tanh(values / width))
