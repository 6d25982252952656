"""Agreement of clusters with classes, their width, and opposite classes, written out as loops."""

from itertools import combinations
from math import comb, log, sqrt
from typing import Any

from scipy.stats import t as student

Labels = list[int]


def counts(a: Labels) -> dict[int, int]:
    return {value: a.count(value) for value in set(a)}


def entropy(a: Labels) -> float:
    return -sum(n / len(a) * log(n / len(a)) for n in counts(a).values())


def information(a: Labels, b: Labels) -> float:
    size, total = len(a), 0.0
    for x, n in counts(a).items():
        for y, m in counts(b).items():
            both = sum(p == x and q == y for p, q in zip(a, b))
            total += both / size * log(size * both / (n * m)) if both else 0.0
    return total


def expected_information(a: Labels, b: Labels) -> float:
    """Mean of `information` over all relabellings: each cell is hypergeometric."""
    size, total = len(a), 0.0
    for n in counts(a).values():
        for m in counts(b).values():
            for both in range(max(1, n + m - size), min(n, m) + 1):
                chance = comb(m, both) * comb(size - m, n - both) / comb(size, n)
                total += chance * both / size * log(size * both / (n * m))
    return total


def adjusted_information(a: Labels, b: Labels, largest: bool) -> float:
    """The paper's appendix B.3, with the larger entropy or with the mean of both."""
    h = max(entropy(a), entropy(b)) if largest else (entropy(a) + entropy(b)) / 2
    expected = expected_information(a, b)
    return (information(a, b) - expected) / (h - expected)


def silhouette(points: list[list[float]], cluster: Labels) -> float:
    """Mean over points of (b - a) / max(a, b); 0 for a point alone in its cluster."""
    total = 0.0
    for i, point in enumerate(points):
        far: dict[int, list[float]] = {value: [] for value in set(cluster)}
        for j, other in enumerate(points):
            if j != i:
                far[cluster[j]].append(sqrt(sum((p - q) ** 2 for p, q in zip(point, other))))
        own = far.pop(cluster[i])
        if own:
            a = sum(own) / len(own)
            b = min(sum(row) / len(row) for row in far.values())
            total += (b - a) / max(a, b)
    return total / len(points)


def ranks(x: list[float]) -> list[float]:
    return [sum(b < a for b in x) + (1 + sum(b == a for b in x)) / 2 for a in x]


def pearson(x: list[float], y: list[float]) -> float:
    a, b = sum(x) / len(x), sum(y) / len(y)
    top = sum((p - a) * (q - b) for p, q in zip(x, y))
    return top / sqrt(sum((p - a) ** 2 for p in x) * sum((q - b) ** 2 for q in y))


def two_sided(r: float, n: int) -> float:
    """The p-value of a correlation r of n pairs by Student's t."""
    if abs(r) >= 1:
        return 0.0
    return float(2 * student.sf(abs(r) * sqrt((n - 2) / (1 - r * r)), n - 2))


def kendall(x: list[float], y: list[float]) -> tuple[float, float]:
    """Tau and its exact p-value where no two values are equal, by counting all orders."""
    n = len(x)
    wrong = sum((x[i] - x[j]) * (y[i] - y[j]) < 0 for i, j in combinations(range(n), 2))
    orders = [1]  # of 1 value by their number of inversions
    for size in range(2, n + 1):
        orders = [
            sum(orders[k - shift] for shift in range(size) if 0 <= k - shift < len(orders))
            for k in range(len(orders) + size - 1)
        ]
    few = min(wrong, comb(n, 2) - wrong)
    return 1 - 2 * wrong / comb(n, 2), min(1.0, 2 * sum(orders[: few + 1]) / sum(orders))


def opposite(x: list[float], y: list[float]) -> bool:
    """Whether one of the three is below -0.3 with a p-value of its own below 0.05."""
    tests: list[tuple[Any, Any]] = [(r := pearson(x, y), two_sided(r, len(x)))]
    tests += [(r := pearson(ranks(x), ranks(y)), two_sided(r, len(x))), kendall(x, y)]
    return any(value < -0.3 and p < 0.05 for value, p in tests)
