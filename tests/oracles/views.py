"""The views of DINO and of TorchIO, pixel by pixel, straight from the formulas; no PyTorch here."""

import colorsys
import itertools
import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def cubic(distance: float) -> float:
    """Keys' kernel with a = -1/2."""
    t = abs(distance)
    if t < 1:
        return 1.5 * t**3 - 2.5 * t**2 + 1
    return -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2 if t < 2 else 0.0


def triangle(distance: float) -> float:
    return max(0.0, 1 - abs(distance))


def resized(
    image: Image, box: list[tuple[float, float]], size: int, kernel: str, antialias: bool
) -> Image:
    """Each new pixel: the kernel's weighted mean about the middle of its part of the box.

    `box` is (start, length) of rows and of columns, in pixels.
    """
    weigh = {"bilinear": triangle, "bicubic": cubic}[kernel]
    tables = []
    for (start, length), side in zip(box, image.shape[1:]):
        step = length / size
        wider = max(step, 1.0) if antialias else 1.0
        table = np.zeros((size, side))
        for new, old in np.ndindex(size, side):
            table[new, old] = weigh((old + 0.5 - start - (new + 0.5) * step) / wider)
        tables.append(table / table.sum(axis=1, keepdims=True))
    out = np.zeros((len(image), size, size))
    for channel, row, column in np.ndindex(out.shape):
        weights = np.outer(tables[0][row], tables[1][column])
        out[channel, row, column] = (weights * image[channel]).sum()
    return np.clip(out, 0, 1) if kernel == "bicubic" else out


def color_jitter(image: Image, lam: list[float], strengths: tuple[float, ...]) -> Image:
    """One pixel at a time; the hue through `colorsys`."""
    orders = list(itertools.permutations(range(4)))
    turn = [strength * (2 * value - 1) for strength, value in zip(strengths, lam)]
    out = image.copy()
    for change in orders[min(int(lam[4] * 24), 23)]:
        greys = 0.299 * out[0] + 0.587 * out[1] + 0.114 * out[2]
        mean = greys.mean()
        for place in np.ndindex(greys.shape):
            pixel = out[(slice(None), *place)]
            if change == 3:
                hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
                pixel[:] = colorsys.hsv_to_rgb((hue + turn[3]) % 1, saturation, value)
                continue
            anchor = (0.0, mean, greys[place])[change]
            pixel[:] = np.clip(anchor + (1 + turn[change]) * (pixel - anchor), 0, 1)
    return out


def bias_field(image: Image, lam: list[float], coefficients: float, order: int) -> Image:
    """Sum over the powers in TorchIO's order: that of the first axis outermost."""
    spatial = image.ndim - 1
    out = np.zeros_like(image)
    for index in np.ndindex(image.shape):
        places = [
            (i - (side - 1) / 2) / ((side - 1) / 2) if side > 1 else 0.0
            for i, side in zip(index[1:], image.shape[1:])
        ]
        columns, field = iter(lam), 0.0
        for powers in itertools.product(range(order + 1), repeat=spatial):
            if sum(powers) <= order:
                weight = coefficients * (2 * next(columns) - 1)
                field += weight * math.prod(p**power for p, power in zip(places, powers))
        out[index] = image[index] * math.exp(field)
    return out
