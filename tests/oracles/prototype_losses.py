"""Losses against neighbours, prototypes and relations, entry by entry from the formulas.

Loops over arrays in float64; nothing here knows of PyTorch.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tests.oracles.losses import cosine

Rows = NDArray[np.float64]


def softmax(logits: Sequence[float], temperature: float) -> list[float]:
    powers = [math.exp(float(logit) / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def nnclr(prediction: Rows, neighbour: Rows, temperature: float) -> float:
    """Mean over i of -log(e^{n_i p_i / T} / sum_k e^{n_i p_k / T})."""
    total = 0.0
    for i, n in enumerate(neighbour):
        shares = softmax([cosine(n, p) for p in prediction], temperature)
        total -= math.log(shares[i])
    return total / len(neighbour)


def sinkhorn(scores: Rows, epsilon: float, rounds: int) -> Rows:
    """Columns to N / K and rows to 1, in turn, of exp(scores / epsilon), entry by entry."""
    n, k = scores.shape
    q = [[math.exp(float(scores[i, j]) / epsilon) for j in range(k)] for i in range(n)]
    for _ in range(rounds):
        for j in range(k):
            total = sum(q[i][j] for i in range(n))
            for i in range(n):
                q[i][j] *= n / k / total
        for i in range(n):
            total = sum(q[i])
            q[i] = [entry / total for entry in q[i]]
    return np.array(q)


def swav(scores: Rows, assignments: Rows, temperature: float) -> float:
    """Mean over subjects and ordered pairs u != v of -sum_k q_uk log softmax(s_v / T)_k."""
    terms = []
    for s, q in zip(scores, assignments):
        for u in range(len(q)):
            for v in range(len(s)):
                if u != v:
                    p = softmax(s[v], temperature)
                    terms.append(-sum(a * math.log(b) for a, b in zip(q[u], p)))
    return sum(terms) / len(terms)


def deep_cluster_v2(scores: Rows, assignment: NDArray[np.int64], temperature: float) -> float:
    """Mean over heads of the mean over assigned subjects and views of -log softmax(s / T)_a."""
    heads = []
    for h in range(scores.shape[2]):
        terms = []
        for s, a in zip(scores[:, :, h], assignment[:, h]):
            for view in s:
                if a != -1:
                    terms.append(-math.log(softmax(view, temperature)[a]))
        heads.append(sum(terms) / len(terms) if terms else 0.0)
    return sum(heads) / len(heads)


def re_ssl(query: Rows, key: Rows, queue: Rows, temperatures: tuple[float, float]) -> float:
    """Mean of -sum_n softmax(k n / T_t)_n log softmax(q n / T)_n over the queue's rows n."""
    total = 0.0
    for q, k in zip(query, key):
        student = softmax([cosine(q, n) for n in queue], temperatures[0])
        teacher = softmax([cosine(k, n) for n in queue], temperatures[1])
        total -= sum(t * math.log(s) for t, s in zip(teacher, student))
    return total / len(query)
