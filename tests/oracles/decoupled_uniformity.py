"""Decoupled Uniformity, pair by pair, straight from the formula.

Loops over ``z`` (subjects, views, dimensions) in float64; nothing here knows of PyTorch.
"""

import math
from collections.abc import Sequence

import numpy as np

from tests.oracles.kernel_losses import Kernel, Point
from tests.oracles.losses import Views


def centroids(z: Views) -> list[list[float]]:
    """Mean over the views of the rows at length 1; a row of zeros stays."""
    subjects, views, size = z.shape
    mu = [[0.0] * size for _ in range(subjects)]
    for i in range(subjects):
        for v in range(views):
            length = math.sqrt(sum(float(x) ** 2 for x in z[i, v]))
            for d in range(size):
                mu[i][d] += float(z[i, v, d]) / (length or 1.0) / views
    return mu


def estimated(
    mu: list[list[float]], prior: Sequence[Point], kernel: Kernel, regularization: float
) -> list[list[float]]:
    """alpha mu with alpha = (K + lambda I)^-1 K, by the explicit inverse."""
    n = len(mu)
    k = np.array([[kernel(prior[i], prior[j]) for j in range(n)] for i in range(n)])
    alpha = np.linalg.inv(k + regularization * np.eye(n)) @ k
    size = len(mu[0])
    return [
        [sum(float(alpha[i, j]) * mu[j][d] for j in range(n)) for d in range(size)]
        for i in range(n)
    ]


def decoupled_uniformity(mu: list[list[float]], t: float) -> float:
    """Log of the mean over pairs i < j of e^{-t |mu_i - mu_j|^2}."""
    total, pairs = 0.0, 0
    for i in range(len(mu)):
        for j in range(i + 1, len(mu)):
            total += math.exp(-t * math.dist(mu[i], mu[j]) ** 2)
            pairs += 1
    return math.log(total / pairs)
