"""Opposite pairs beside chance, and properties of classes, written out as loops."""

from itertools import permutations
from math import cos, hypot, log, pi, sin

from tests.oracles.clusters import pearson, ranks


def exact_spearman(x: list[float], y: list[float]) -> float:
    """Two-sided p-value over all orders: twice the smaller tail, as SciPy's permutation test."""
    a, b = ranks(x), ranks(y)
    own = pearson(a, b)
    drawn = [pearson(list(order), b) for order in permutations(a)]
    below = sum(value <= own + 1e-9 for value in drawn) / len(drawn)
    above = sum(value >= own - 1e-9 for value in drawn) / len(drawn)
    return min(1.0, 2 * min(below, above))


def holm(p_values: list[float]) -> list[float]:
    order = sorted(range(len(p_values)), key=lambda k: p_values[k])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, k in enumerate(order):
        highest = max(highest, (len(p_values) - step) * p_values[k])
        adjusted[k] = min(1.0, highest)
    return adjusted


def intrinsic_dimension(rows: list[list[float]], neighbours: int) -> float:
    """Levina and Bickel's estimate, the inverses averaged over rows (MacKay and Ghahramani)."""
    total, count = 0.0, 0
    for i, row in enumerate(rows):
        distances = sorted(
            sum((a - b) ** 2 for a, b in zip(row, other)) ** 0.5
            for j, other in enumerate(rows)
            if j != i
        )
        for nearer in distances[: neighbours - 1]:
            total += log(distances[neighbours - 1] / nearer)
            count += 1
    return count / total


def mean_power(image: list[list[float]]) -> list[float]:
    """Mean power at the frequencies 1, 2, ... up to Nyquist's, by the sum of the definition."""
    side = len(image)
    mean = sum(map(sum, image)) / side**2
    rings: dict[int, list[float]] = {}
    for u in range(side):
        for v in range(side):
            real = imaginary = 0.0
            for y in range(side):
                for x in range(side):
                    angle = 2 * pi * (u * y + v * x) / side
                    real += (image[y][x] - mean) * cos(angle)
                    imaginary -= (image[y][x] - mean) * sin(angle)
            signed = [k - side if k >= side / 2 else k for k in (u, v)]
            rings.setdefault(round(hypot(*signed)), []).append(real**2 + imaginary**2)
    return [sum(rings[k]) / len(rings[k]) for k in range(1, side // 2 + 1)]
