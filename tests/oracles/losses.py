"""The contrastive losses, pair by pair, straight from the formulas.

Loops over ``z`` (subjects, views, dimensions) in float64; nothing here knows of PyTorch.
"""

import math

import numpy as np
from numpy.typing import NDArray

Views = NDArray[np.float64]


def cosine(a: Views, b: Views) -> float:
    dot = sum(float(x) * float(y) for x, y in zip(a, b))
    length = math.sqrt(sum(float(x) ** 2 for x in a)) * math.sqrt(sum(float(y) ** 2 for y in b))
    return dot / length if length > 0 else 0.0


def decoupled_info_nce(z: Views, temperature: float) -> float:
    """Mean over i of -log(e^{s_ii} / sum_{j != i} e^{s_ij}), s from view 0 of i to view 1 of j."""
    subjects = len(z)
    total = 0.0
    for i in range(subjects):
        positive = math.exp(cosine(z[i, 0], z[i, 1]) / temperature)
        negatives = 0.0
        for j in range(subjects):
            if j != i:
                negatives += math.exp(cosine(z[i, 0], z[j, 1]) / temperature)
        total -= math.log(positive / negatives)
    return total / subjects


def info_nce(z: Views, temperature: float, epsilon: float) -> float:
    """Mean over views i, and over the other views p of the subject, of the epsilon-InfoNCE term.

    -log(e^{s_p} / (e^{s_p - epsilon} + sum of e^{s_n} over all views n of the other subjects)).
    """
    subjects, views = z.shape[:2]
    total = 0.0
    for subject in range(subjects):
        for view in range(views):
            anchor = z[subject, view]
            negatives = 0.0
            for other in range(subjects):
                for other_view in range(views):
                    if other != subject:
                        s = cosine(anchor, z[other, other_view]) / temperature
                        negatives += math.exp(s)
            for other_view in range(views):
                if other_view != view:
                    s = cosine(anchor, z[subject, other_view]) / temperature
                    ratio = math.exp(s) / (math.exp(s - epsilon) + negatives)
                    total -= math.log(ratio) / (views - 1)
    return total / (subjects * views)


def nt_xent(z: Views, temperature: float) -> float:
    """Chen et al. 2020, Eq. 1, two views: the denominator is every view but the anchor itself."""
    rows = z.reshape(-1, z.shape[-1])
    total = 0.0
    for i in range(len(rows)):
        positive = i + 1 if i % 2 == 0 else i - 1
        denominator = 0.0
        for k in range(len(rows)):
            if k != i:
                denominator += math.exp(cosine(rows[i], rows[k]) / temperature)
        total -= math.log(math.exp(cosine(rows[i], rows[positive]) / temperature) / denominator)
    return total / len(rows)
