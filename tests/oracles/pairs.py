"""Figures of pairs of views, in loops: what `common.audit` says of how hard they are."""

import math
from collections.abc import Sequence
from itertools import pairwise

Rows = Sequence[Sequence[float]]


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Euclidean."""
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b)))


def info_nce(first: Rows, second: Rows, temperature: float) -> float:
    """Mean over all views of -log of the share of the partner among all others."""
    rows, count = [*first, *second], len(first)
    losses = []
    for i, row in enumerate(rows):
        partner = i + count if i < count else i - count
        similar = [sum(x * y for x, y in zip(row, other)) / temperature for other in rows]
        others = sum(math.exp(s) for j, s in enumerate(similar) if j != i)
        losses.append(math.log(others) - similar[partner])
    return sum(losses) / len(losses)


def positives(first: Rows, second: Rows) -> list[float]:
    """Distances of the two views of each image."""
    return [distance(a, b) for a, b in zip(first, second)]


def negatives(first: Rows, second: Rows) -> list[float]:
    """Distances of views of two images, each pair once."""
    rows = [*enumerate(first), *enumerate(second)]
    return [
        distance(a, b) for place, (i, a) in enumerate(rows) for j, b in rows[place + 1 :] if i != j
    ]


def nearer(first: Rows, second: Rows) -> float:
    """Share of the views of other images that are nearer to a view than its partner."""
    rows, count, below, all_ = [*first, *second], len(first), 0, 0
    for i, row in enumerate(rows):
        own = distance(row, rows[(i + count) % (2 * count)])
        for j, other in enumerate(rows):
            if j % count != i % count:
                all_ += 1
                below += distance(row, other) < own
    return below / all_


def overlap(some: Sequence[float], others: Sequence[float], edges: Sequence[float]) -> float:
    """Common area of two histograms of shares."""
    total = 0.0
    for low, high in pairwise(edges):
        last = high == edges[-1]
        shares = [
            sum(low <= d < high or (last and d == high) for d in distances) / len(distances)
            for distances in (some, others)
        ]
        total += min(shares)
    return total


def area(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a negative is further apart than a positive, ties half."""
    wins = sum((n > p) + (n == p) / 2 for p in positive for n in negative)
    return wins / (len(positive) * len(negative))
