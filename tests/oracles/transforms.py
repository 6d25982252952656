"""The transformations of Ruppli et al. 2022, Table 1, pixel by pixel, straight from the formulas.

Loops over one image ``(C, *spatial)`` in float64; nothing here knows of PyTorch.
"""

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def flip(image: Image, lam: float, axis: int) -> Image:
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        mirrored = list(index)
        mirrored[axis + 1] = image.shape[axis + 1] - 1 - index[axis + 1]
        out[index] = (1 - lam) * image[index] + lam * image[tuple(mirrored)]
    return out


def crop(
    image: Image, lam: list[float], half_width: float | None = None, slope: float = 1.0
) -> Image:
    """One side: S(s/8 - max |x - lam s|); other sides each with their own s."""
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        margins = []
        for position, side, share in zip(index[1:], image.shape[1:], lam):
            half = side / 8 if half_width is None else half_width
            margins.append(half - abs(position - share * side))
        out[index] = image[index] * sigmoid(slope * min(margins))
    return out


def blur(image: Image, lam: float, max_sigma: float = 2.0) -> Image:
    """Sum over the whole neighbourhood at once, not axis by axis."""
    sigma = max(lam * max_sigma, 1e-2)
    reach = range(-math.ceil(3 * max_sigma), math.ceil(3 * max_sigma) + 1)
    spatial = image.ndim - 1
    weights = {
        offset: math.exp(-sum(step * step for step in offset) / (2 * sigma**2))
        for offset in itertools.product(reach, repeat=spatial)
    }
    total = sum(weights.values())
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        for offset, weight in weights.items():
            source = tuple(i + step for i, step in zip(index[1:], offset))
            if all(0 <= i < side for i, side in zip(source, image.shape[1:])):
                out[index] += weight / total * image[(index[0], *source)]
    return out


def rotation_matrix(lam: list[float]) -> Image:
    """R in axis order (row, column) or (depth, row, column); 3D: R_0 R_1 R_2."""
    planes = [(0, 1)] if len(lam) == 1 else [(1, 2), (2, 0), (0, 1)]
    matrix = np.eye(2 if len(lam) == 1 else 3)
    for share, (first, second) in zip(lam, planes):
        angle = 2 * math.pi * share
        turn = np.eye(len(matrix))
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = math.sin(angle), -math.sin(angle)
        matrix = matrix @ turn
    return matrix


def rotate(image: Image, lam: list[float]) -> Image:
    """X(R x), x counted from the centre, between pixels by (bi-, tri-)linear weights."""
    matrix = rotation_matrix(lam)
    centre = (np.array(image.shape[1:]) - 1) / 2
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        source = matrix @ (np.array(index[1:]) - centre) + centre
        low = np.floor(source).astype(int)
        for corner in itertools.product((0, 1), repeat=len(source)):
            pixel = low + corner
            if np.all((pixel >= 0) & (pixel < image.shape[1:])):
                weight = np.prod(1 - np.abs(source - pixel))
                out[index] += weight * image[(index[0], *pixel)]
    return out
