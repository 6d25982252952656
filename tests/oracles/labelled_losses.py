"""The losses that read labels, pair by pair, straight from the formulas.

Loops over ``z`` (subjects, views, dimensions) in float64; nothing here knows of PyTorch.
"""

import math
from collections.abc import Sequence

from tests.oracles.losses import Views, cosine


def similarities(z: Views, temperature: float) -> list[list[float]]:
    """Cosine over temperature between all rows, the views of a subject following each other."""
    rows = z.reshape(-1, z.shape[-1])
    return [[cosine(a, b) / temperature for b in rows] for a in rows]


def split(s: list[list[float]], i: int, label: list[int]) -> tuple[list[float], list[float]]:
    """The anchor's similarities to its positives and to its negatives."""
    others = [j for j in range(len(s)) if j != i]
    positives = [s[i][j] for j in others if label[j] == label[i]]
    negatives = [s[i][j] for j in others if label[j] != label[i]]
    return positives, negatives


def of_rows(values: Sequence[int], z: Views) -> list[int]:
    return [int(value) for value in values for _ in range(z.shape[1])]


def sup_info_nce_out(z: Views, labels: Sequence[int], temperature: float, epsilon: float) -> float:
    """Mean over anchors, and positives p, of -log(e^{s_p} / (e^{s_p - eps} + sum_n e^{s_n}))."""
    s, label = similarities(z, temperature), of_rows(labels, z)
    total = 0.0
    for i in range(len(s)):
        positives, negatives = split(s, i, label)
        for p in positives:
            denominator = math.exp(p - epsilon) + sum(math.exp(n) for n in negatives)
            total -= math.log(math.exp(p) / denominator) / len(positives)
    return total / len(s)


def sup_info_nce_in(z: Views, labels: Sequence[int], temperature: float, epsilon: float) -> float:
    """Mean of -log(sum_p e^{s_p} / (1/|P| sum_p e^{s_p - eps} + sum_n e^{s_n}))."""
    s, label = similarities(z, temperature), of_rows(labels, z)
    total = 0.0
    for i in range(len(s)):
        positives, negatives = split(s, i, label)
        if positives:
            margin = sum(math.exp(p - epsilon) for p in positives) / len(positives)
            denominator = margin + sum(math.exp(n) for n in negatives)
            total -= math.log(sum(math.exp(p) for p in positives) / denominator)
    return total / len(s)


def hinge(z: Views, labels: Sequence[int], epsilon: float, form: str) -> float:
    """Mean over anchors, and positives p, of the largest or the sum of max(0, s_j - s_p + eps)."""
    s, label = similarities(z, 1.0), of_rows(labels, z)
    total = 0.0
    for i in range(len(s)):
        positives, negatives = split(s, i, label)
        for p in positives:
            missed = [max(0.0, n - p + epsilon) for n in negatives]
            total += (sum(missed) if form == "sum" else max(missed, default=0)) / len(positives)
    return total / len(s)


def sup_con(z: Views, labels: Sequence[int], temperature: float, epsilon: float) -> float:
    """Mean of -log(e^{s_p} / (sum_t e^{s_t - eps} + sum_n e^{s_n})), t over the positives."""
    s, label = similarities(z, temperature), of_rows(labels, z)
    total = 0.0
    for i in range(len(s)):
        positives, negatives = split(s, i, label)
        denominator = sum(math.exp(t - epsilon) for t in positives)
        denominator += sum(math.exp(n) for n in negatives)
        for p in positives:
            total -= math.log(math.exp(p) / denominator) / len(positives)
    return total / len(s)


def pair_groups(label: list[int], bias: list[int]) -> dict[str, list[tuple[int, int]]]:
    """Ordered pairs of distinct rows: positive or negative, bias-aligned or bias-conflicting."""
    groups: dict[str, list[tuple[int, int]]] = {"pa": [], "pc": [], "na": [], "nc": []}
    for i in range(len(label)):
        for j in range(len(label)):
            if i != j:
                sign = "p" if label[i] == label[j] else "n"
                groups[sign + ("a" if bias[i] == bias[j] else "c")].append((i, j))
    return groups


def pair_statistic(z: Views, statistic: str) -> list[list[float]]:
    """Cosines, or Euclidean distances of the rows scaled to length 1 (zeros stay zeros)."""
    if statistic == "similarity":
        return similarities(z, 1.0)
    rows = [[float(x) for x in row] for row in z.reshape(-1, z.shape[-1])]
    lengths = [math.sqrt(sum(x * x for x in row)) or 1.0 for row in rows]
    unit = [[x / length for x in row] for row, length in zip(rows, lengths)]
    return [[math.dist(a, b) for b in unit] for a in unit]


def mean_and_variance(values: list[float]) -> tuple[float, float]:
    mean = sum(values) / len(values)
    return mean, sum((value - mean) ** 2 for value in values) / len(values)


def fairkl(
    z: Views,
    labels: Sequence[int],
    biases: Sequence[int],
    statistic: str,
    variance_floor: float = 1e-6,
    kld: float | None = None,
) -> float:
    """Sum over positives and negatives of KL(aligned || conflicting) of two normal laws.

    With `kld`, the squared difference of the means plus kld times that of the deviations instead.
    """
    of_pair = pair_statistic(z, statistic)
    groups = pair_groups(of_rows(labels, z), of_rows(biases, z))
    total = 0.0
    for aligned, conflicting in (("pa", "pc"), ("na", "nc")):
        if len(groups[aligned]) < 2 or len(groups[conflicting]) < 2:
            continue
        mean_a, var_a = mean_and_variance([of_pair[i][j] for i, j in groups[aligned]])
        mean_c, var_c = mean_and_variance([of_pair[i][j] for i, j in groups[conflicting]])
        if kld is not None:
            total += (mean_a - mean_c) ** 2 + kld * (math.sqrt(var_a) - math.sqrt(var_c)) ** 2
            continue
        var_a, var_c = max(var_a, variance_floor), max(var_c, variance_floor)
        total += 0.5 * ((var_a + (mean_a - mean_c) ** 2) / var_c - math.log(var_a / var_c) - 1)
    return total


def fairkl_released(z: Views, label: Sequence[int], bias: Sequence[int], kld: float) -> float:
    """The authors' code: view 0, self pairs among the aligned, deviations over masked zeros."""
    s = similarities(z[:, :1], 1.0)
    size = len(s)
    mean, deviation = {}, {}
    for name, positive, aligned in (("pa", 1, 1), ("pc", 1, 0), ("na", 0, 1), ("nc", 0, 0)):
        masked, count = [], 0
        for i in range(size):
            for j in range(size):
                member = (label[i] == label[j]) == positive and (bias[i] == bias[j]) == aligned
                masked.append(s[i][j] if member else 0.0)
                count += member
        mean[name] = sum(masked) / max(count, 1)
        centre = sum(masked) / size**2
        deviation[name] = math.sqrt(sum((v - centre) ** 2 for v in masked) / (size**2 - 1))
    means = (mean["pc"] - mean["pa"]) ** 2 + (mean["na"] - mean["nc"]) ** 2
    deviations = (deviation["pa"] - deviation["pc"]) ** 2
    deviations += (deviation["na"] - deviation["nc"]) ** 2
    return means + kld * deviations - mean["pc"] + mean["na"]


def end(z: Views, labels: Sequence[int], biases: Sequence[int], alpha: float, beta: float) -> float:
    """Alpha sum_b |sum of s within bias b| / same-bias pairs + beta mean of (1 - s) / 2.

    The second over pairs of the same label and another bias; pairs are i < j.
    """
    s = similarities(z, 1.0)
    label, bias = of_rows(labels, z), of_rows(biases, z)
    within: dict[int, list[float]] = {}
    across: list[float] = []
    for i in range(len(s)):
        for j in range(i + 1, len(s)):
            if bias[i] == bias[j]:
                within.setdefault(bias[i], []).append(s[i][j])
            elif label[i] == label[j]:
                across.append((1 - s[i][j]) / 2)
    pairs = sum(len(values) for values in within.values())
    disentangle = sum(abs(sum(values)) for values in within.values()) / max(pairs, 1)
    return alpha * disentangle + beta * sum(across) / max(len(across), 1)
