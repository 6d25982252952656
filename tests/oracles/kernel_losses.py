"""The losses that read a continuous y, pair by pair, straight from the formulas.

Loops over ``z`` (subjects, views, dimensions) in float64. Only `differentiable` knows of PyTorch,
which differentiates it.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tests.oracles.labelled_losses import similarities
from tests.oracles.losses import Views

Point = Sequence[float]
Kernel = Callable[[Point, Point], float]


def gaussian(sigma: float) -> Kernel:
    return lambda a, b: math.exp(-(math.dist(a, b) ** 2) / (2 * sigma**2))


def cauchy(sigma: float) -> Kernel:
    return lambda a, b: 1 / (sigma * math.dist(a, b) ** 2 + 1)


def cosine(a: Point, b: Point) -> float:
    lengths = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b)) / lengths if lengths > 0 else 0.0


def delta(a: Point, b: Point) -> float:
    return float(list(a) == list(b))


def window(width: float) -> Kernel:
    return lambda a, b: float(math.dist(a, b) < width)


def weights(y: Sequence[Point], n_views: int, kernel: Kernel) -> list[list[float]]:
    """The weights of all pairs of rows: those of their subjects."""
    of_row = [point for point in y for _ in range(n_views)]
    return [[kernel(a, b) for b in of_row] for a in of_row]


def log_denominator_all(i: int, k: int, s: list[list[float]], w: list[list[float]]) -> float:
    """Every other row."""
    return math.log(sum(math.exp(s[i][t]) for t in range(len(s)) if t != i))


def log_denominator_threshold(
    i: int, k: int, s: list[list[float]], w: list[list[float]]
) -> float | None:
    """The rows less alike the anchor than k is; None when there is none."""
    repelled = [math.exp(s[i][t]) for t in range(len(s)) if t != i and w[i][t] < w[i][k]]
    return math.log(sum(repelled)) if repelled else None


def log_denominator_exponential(
    i: int, k: int, s: list[list[float]], w: list[list[float]]
) -> float | None:
    """Every row but k, each repelled the less the more it is alike."""
    others = [t for t in range(len(s)) if t not in (i, k)]
    if not others:
        return None
    return math.log(sum(math.exp(s[i][t] * (1 - w[i][t])) for t in others))


def log_denominator_threshold_released(
    i: int, k: int, s: list[list[float]], w: list[list[float]]
) -> float | None:
    """Row t as often as there are rows less alike t than the anchor is."""
    total = 0.0
    for t in range(len(s)):
        if t != i:
            total += math.exp(s[i][t]) * sum(w[t][q] < w[t][i] for q in range(len(s)))
    return math.log(total) if total > 0 else None


def exponential_released(temperature: float) -> Callable[..., float]:
    """The denominator of the authors' L_exp, k included, each term times e^{w_t / temperature}."""

    def log_denominator(i: int, k: int, s: list[list[float]], w: list[list[float]]) -> float:
        total = 0.0
        for t in range(len(s)):
            if t != i:
                total += math.exp(s[i][t] * (1 - w[i][t]) + w[i][t] / temperature)
        return math.log(total)

    return log_denominator


def kernel_contrastive(
    z: Views,
    y: Sequence[Point],
    kernel: Kernel,
    temperature: float,
    log_denominator: Callable[..., float | None],
) -> float:
    """Mean over i of -sum_k w_ik / (sum_{t != i} w_it) (s_ik - log denominator of i and k)."""
    s = similarities(z, temperature)
    w = weights(y, z.shape[1], kernel)
    total = 0.0
    for i in range(len(s)):
        others = [k for k in range(len(s)) if k != i]
        normaliser = sum(w[i][t] for t in others)
        for k in others:
            denominator = log_denominator(i, k, s, w)
            if normaliser > 0 and denominator is not None:
                total -= w[i][k] / normaliser * (s[i][k] - denominator)
    return total / len(s)


def differentiable(
    z: Tensor, y: Sequence[Point], kernel: Kernel, temperature: float, kind: str, variant: str
) -> Tensor:
    """The loss of float64 z, anchor by anchor and positive by positive, for its gradient."""
    rows = torch.stack([row / torch.linalg.vector_norm(row) for row in z.flatten(0, 1)])
    s, w = rows @ rows.T / temperature, torch.tensor(weights(y, z.shape[1], kernel), dtype=z.dtype)
    every, total = torch.arange(len(s)), z.new_zeros(())
    less = torch.stack([(w[t] < w[t][:, None]).sum(dim=1) for t in every]).T  # w_tq < w_ti
    for i in every:
        normaliser = sum(w[i][t] for t in every if t != i)
        for k in every[every != i]:
            exponents = s[i]
            repelled = every != i
            if variant == "released" and kind == "threshold":
                exponents = exponents + less[i].double().log()
            elif variant == "released" and kind == "exponential":
                exponents = s[i] * (1 - w[i]) + w[i] / temperature
            elif kind == "threshold":
                repelled = repelled & (w[i] < w[i][k])
            elif kind == "exponential":
                exponents, repelled = s[i] * (1 - w[i]), repelled & (every != k)
            log_denominator = exponents[repelled].logsumexp(dim=0)
            if normaliser > 0 and log_denominator > -torch.inf:
                total = total - w[i][k] / normaliser * (s[i][k] - log_denominator)
    return total / len(s)
