"""Losses that decorrelate the columns of two views, entry by entry from the formulas.

Loops over ``z`` (subjects, 2 views, dimensions) in float64; nothing here knows of PyTorch.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Views = NDArray[np.float64]
Column = list[float]


def columns(z: Views, view: int) -> list[Column]:
    """The centred columns of one view."""
    result = []
    for d in range(z.shape[2]):
        column = [float(z[i, view, d]) for i in range(len(z))]
        mean = sum(column) / len(column)
        result.append([value - mean for value in column])
    return result


def dot(a: Column, b: Column) -> float:
    return sum(x * y for x, y in zip(a, b))


def correlation(a: Column, b: Column) -> float:
    length = math.sqrt(dot(a, a)) * math.sqrt(dot(b, b))
    return dot(a, b) / length if length > 0 else 0.0


def barlow_twins(z: Views, off_diagonal: float, scale: float) -> float:
    """scale (sum_i (1 - C_ii)^2 + off_diagonal sum_{i != j} C_ij^2)."""
    first, second = columns(z, 0), columns(z, 1)
    total = 0.0
    for i in range(len(first)):
        for j in range(len(second)):
            c = correlation(first[i], second[j])
            total += (1 - c) ** 2 if i == j else off_diagonal * c**2
    return scale * total


def invariance(z: Views) -> float:
    """Mean squared difference over subjects and dimensions."""
    terms = []
    for subject in z:
        for d in range(z.shape[2]):
            terms.append((float(subject[0, d]) - float(subject[1, d])) ** 2)
    return sum(terms) / len(terms)


def variance(z: Views) -> float:
    """Sum over both views of the mean over dimensions of max(0, 1 - sqrt(Var + 1e-4))."""
    total = 0.0
    for view in (0, 1):
        for column in columns(z, view):
            spread = math.sqrt(dot(column, column) / (len(z) - 1) + 1e-4)
            total += max(0.0, 1 - spread) / z.shape[2]
    return total


def beside_the_diagonal(z: Views, entry: Callable[[Column, Column], float]) -> float:
    """Sum over both views of the squared entries of different columns."""
    total = 0.0
    for view in (0, 1):
        of_view = columns(z, view)
        for i in range(len(of_view)):
            for j in range(len(of_view)):
                if i != j:
                    total += entry(of_view[i], of_view[j]) ** 2
    return total


def covariance(z: Views) -> float:
    """Squared covariances off the diagonal, over D."""
    return beside_the_diagonal(z, lambda a, b: dot(a, b) / (len(z) - 1)) / z.shape[2]


def mean_correlation(z: Views) -> float:
    """Squared correlations off the diagonal, over D^2."""
    return beside_the_diagonal(z, correlation) / z.shape[2] ** 2


def vicreg(z: Views, weights: tuple[float, float, float]) -> float:
    return weights[0] * invariance(z) + weights[1] * variance(z) + weights[2] * covariance(z)


def vibcreg(z: Views, weights: tuple[float, float, float]) -> float:
    return weights[0] * invariance(z) + weights[1] * variance(z) + weights[2] * mean_correlation(z)
