"""Confidence intervals over patients: images of one patient are not independent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["patient_interval"]


def patient_interval(
    label: NDArray[np.integer[Any]],
    scores: NDArray[np.floating[Any]],
    fold: NDArray[np.integer[Any]],
    patient: NDArray[np.str_],
    *,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap of the mean AUC over folds, patients drawn with replacement.

    Args:
        label: ``(N,)``, 0 or 1.
        scores: ``(N,)`` decision values; compared within a fold only.
        fold: ``(N,)`` hold-out set of each image.
        patient: ``(N,)`` patient of each image.
        level: probability the interval is meant to cover.
        draws: number of bootstrap samples; those in which a fold lost a class are left out.
        seed: of the draws.

    Returns:
        Lower and upper end. The fitted models are kept as they are, so the interval says how much
        the AUC depends on which patients were tested, not on which were used for fitting.
    """
    generator = np.random.default_rng(seed)
    groups = [
        [np.flatnonzero((fold == number) & (patient == name)) for name in np.unique(patient[here])]
        for number in np.unique(fold)
        for here in [fold == number]
    ]
    means = []
    for _ in range(draws):
        auc = []
        for group in groups:
            chosen = generator.integers(len(group), size=len(group))
            index = np.concatenate([group[k] for k in chosen])
            if len(np.unique(label[index])) == 2:
                auc.append(_auc(label[index], scores[index]))
        if len(auc) == len(groups):
            means.append(np.mean(auc))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _auc(label: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve from the mean ranks of the scores (Mann and Whitney's U).

    The same as scikit-learn's, whose checks of the input take longer than a thousand ranks.
    """
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2  # from 1; ties share their mean
    positive = label == 1
    n = int(positive.sum())
    u = mean_rank[position][positive].sum() - n * (n + 1) / 2
    return float(u / (n * (len(label) - n)))
