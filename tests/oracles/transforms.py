"""The transformations, pixel by pixel, straight from the formulas.

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
        out[index] = between(image, index[0], matrix @ (np.array(index[1:]) - centre) + centre)
    return out


def mirror(image: Image, lam: float, axes: list[int] | None = None) -> Image:
    """The axis number floor(lam n) of n, reversed."""
    choices = list(range(image.ndim - 1)) if axes is None else axes
    return flip(image, 1.0, choices[min(int(lam * len(choices)), len(choices) - 1)])


def box(sides: tuple[int, ...], lam: list[float], size: float) -> list[tuple[int, int]]:
    """First pixel and length along each axis."""
    actual = []
    for side, share in zip(sides, lam):
        length = round(size * side)
        actual.append((min(int(share * (side - length + 1)), side - length), length))
    return actual


def cutout(image: Image, lam: list[float], size: float = 0.25) -> Image:
    out = image.copy()
    places = box(image.shape[1:], lam, size)
    for index in np.ndindex(image.shape):
        if all(start <= i < start + length for i, (start, length) in zip(index[1:], places)):
            out[index] = 0
    return out


def between(image: Image, channel: int, source: Image) -> float:
    """The value at a place between pixels, by (bi-, tri-)linear weights, 0 outside."""
    total = 0.0
    for corner in itertools.product((0, 1), repeat=len(source)):
        pixel = np.floor(source).astype(int) + corner
        if np.all((pixel >= 0) & (pixel < image.shape[1:])):
            total += np.prod(1 - np.abs(source - pixel)) * image[(channel, *pixel)]
    return float(total)


def crop_resize(image: Image, lam: list[float], size: float = 0.75) -> Image:
    """Pixel centres divide the box as they divide the image; the ends of the box go on."""
    places = box(image.shape[1:], lam, size)
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        source = []
        for pixel, side, (start, length) in zip(index[1:], image.shape[1:], places):
            inside = (pixel + 0.5) * length / side - 0.5
            source.append(start + min(max(inside, 0), length - 1))
        out[index] = between(image, index[0], np.array(source))
    return out


def affine(
    image: Image, lam: list[float], degrees: float = 10, shift: float = 5, scale: float = 0.1
) -> Image:
    """X(R (p - t) / s), p counted from the centre."""
    spatial = image.ndim - 1
    unit = 2 * np.array(lam) - 1
    turns = (unit[: -spatial - 1] * degrees / 360).tolist()
    matrix = rotation_matrix(turns) / (1 + scale * unit[-1])
    centre = (np.array(image.shape[1:]) - 1) / 2
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        place = np.array(index[1:]) - centre - shift * unit[-spatial - 1 : -1]
        out[index] = between(image, index[0], matrix @ place + centre)
    return out
