"""Confidence intervals over patients: images of one patient are not independent."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

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
                auc.append(roc_auc_score(label[index], scores[index]))
        if len(auc) == len(groups):
            means.append(np.mean(auc))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
