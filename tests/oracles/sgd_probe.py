"""The probe trained by SGD, its figures and the groups of views, written out as loops."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.oracles.evaluation import auc

Array = NDArray[np.float64]


def scores(label: Any, probability: Array) -> dict[str, float]:
    """Figures of all classes by counting images; AUPR is left to scikit-learn."""
    predicted = [int(np.argmax(row)) for row in probability]
    areas, counts = [], []
    for k in range(probability.shape[1]):
        own = [int(y == k) for y in label]
        if 0 < sum(own) < len(own):
            areas.append(auc(np.array(own), probability[:, k]))
            cells = [(y, int(p == k)) for y, p in zip(own, predicted)]
            if k > 0:
                right, wrong = cells.count((1, 1)), cells.count((0, 0))
                counts.append(
                    (right / sum(own), wrong / (len(own) - sum(own)), (right + wrong) / len(own))
                )
    means = np.mean(counts, axis=0)
    exact = sum(int(y == p) for y, p in zip(label, predicted)) / len(predicted)
    return {
        "auroc": float(np.mean(areas)),
        "sensitivity": means[0],
        "specificity": means[1],
        "accuracy": means[2],
        "exact": exact,
    }


def sgd(
    features: Callable[[int], Array],
    label: Any,
    weight: Array,
    order: list[list[list[int]]],
    rate: float,
) -> list[tuple[Array, Array]]:
    """Weight and bias after every epoch: gradient of the cross entropy and momentum by hand."""
    bias, actual = np.zeros(len(weight)), []
    speed, speed_of_bias = np.zeros_like(weight), np.zeros_like(bias)
    weight = weight.copy()
    for epoch, batches in enumerate(order):
        step = rate * (1 + math.cos(math.pi * epoch / len(order))) / 2
        h = features(epoch)
        for rows in batches:
            slope, slope_of_bias = np.zeros_like(weight), np.zeros_like(bias)
            for row in rows:
                logits = weight @ h[row] + bias
                p = np.exp(logits - logits.max())
                p /= p.sum()
                p[label[row]] -= 1
                slope += np.outer(p, h[row]) / len(rows)
                slope_of_bias += p / len(rows)
            speed, speed_of_bias = 0.9 * speed + slope, 0.9 * speed_of_bias + slope_of_bias
            weight, bias = weight - step * speed, bias - step * speed_of_bias
        actual.append((weight.copy(), bias.copy()))
    return actual


def groups(h: Array) -> tuple[list[float], list[float], float]:
    """Distances of positive and negative pairs, and the silhouette by its definition."""
    n, views, _ = h.shape
    place = [(i, v) for i in range(n) for v in range(views)]

    def distance(a: tuple[int, int], b: tuple[int, int]) -> float:
        return math.dist(h[a], h[b])

    positive = [distance((i, v), (i, w)) for i in range(n) for v in range(views) for w in range(v)]
    negative = [distance((i, 0), (j, 1)) for i in range(n) for j in range(n) if i != j]
    widths = []
    for a in place:
        mean = [np.mean([distance(a, b) for b in place if b[0] == j and b != a]) for j in range(n)]
        own, other = mean[a[0]], min(mean[j] for j in range(n) if j != a[0])
        widths.append((other - own) / max(own, other))
    return positive, negative, float(np.mean(widths))


def anova(scores: Array) -> float:
    """F of the settings, from the squares that two least-squares fits leave.

    One fit explains the scores by the seed alone, the other by seed and setting.
    """
    n, k = scores.shape
    seed = np.repeat(np.eye(n), k, axis=0)
    setting = np.tile(np.eye(k), (n, 1))
    left = []
    for design in (seed, np.hstack([seed, setting])):
        fitted = design @ np.linalg.lstsq(design, scores.reshape(-1), rcond=None)[0]
        left.append(float(((scores.reshape(-1) - fitted) ** 2).sum()))
    return ((left[0] - left[1]) / (k - 1)) / (left[1] / ((n - 1) * (k - 1)))
