"""Figures of predicted class probabilities, as the paper on fundus augmentation reports them.

Cheng et al. (2025; their code is RETFound's): every class against all others, averaged over the
classes. Sensitivity, specificity and accuracy are of the most probable class, averaged over all
classes but the healthy one, which is known by its name (`common.data.healthy`); where no class has
such a name, over all.

Differs from the released code: there a class without an image among the tested ones is an error;
here it is left out of the averages, so that figures exist for bootstrap samples.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.metrics.patient_bootstrap import auc

__all__ = ["FIGURES", "average_precision", "class_scores", "macro_auroc"]

FIGURES = ("auroc", "aupr", "sensitivity", "specificity", "accuracy", "exact")

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]


def macro_auroc(label: Labels, probability: Floats) -> float:
    """Mean over classes of the AUROC of the class against the rest.

    Args:
        label: ``(N,)`` class from 0.
        probability: ``(N, K)``.

    Returns:
        Mean over the classes that some, but not all rows have; NaN where there is none.
    """
    known = _present(label, probability)
    areas = [auc((label == k).astype(int), probability[:, k]) for k in known]
    return float(np.mean(areas)) if areas else float("nan")


def average_precision(label: NDArray[Any], scores: Floats) -> float:
    """Area under the precision-recall curve in steps: sum of rise in recall times precision.

    The same as scikit-learn's, whose checks of the input take longer than the sum.

    Args:
        label: ``(N,)``, 0 or 1 or their truth, at least one of them 1.
        scores: ``(N,)``; those of equal score are passed together.
    """
    order = np.argsort(-scores, kind="stable")
    true_positives = np.cumsum(label[order])
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    rise = np.diff(true_positives[last], prepend=0)
    return float((rise * true_positives[last] / (last + 1)).sum() / true_positives[-1])


def class_scores(label: Labels, probability: Floats, healthy: int | None) -> dict[str, float]:
    """Return all figures of predicted probabilities.

    Args:
        label: ``(N,)`` class from 0.
        probability: ``(N, K)``.
        healthy: the class that the averages of calls leave out; None for none.

    Returns:
        "auroc" and "aupr" (average precision), macro; "sensitivity", "specificity" and "accuracy"
        (of one class against the rest), macro over the classes but `healthy`; "exact", the share of
        images whose most probable class is the right one.
    """
    require(
        probability.ndim == 2 and label.shape == (len(probability),) and len(label) > 0,
        "class_scores: label and probability must be (N,) and (N, K), got "
        f"{label.shape} and {probability.shape}.",
    )
    known = _present(label, probability)
    predicted = probability.argmax(axis=1)
    precision = [average_precision(label == k, probability[:, k]) for k in known]
    counts = [_one_against_rest(label == k, predicted == k) for k in known if k != healthy]
    means = np.mean(counts, axis=0) if counts else np.full(3, np.nan)
    values = (
        macro_auroc(label, probability),
        float(np.mean(precision)) if known else float("nan"),
        *means.tolist(),
        float((predicted == label).mean()),
    )
    return dict(zip(FIGURES, values))


def _present(label: Labels, probability: Floats) -> list[int]:
    """Classes that some, but not all rows have."""
    return [k for k in range(probability.shape[1]) if 0 < int((label == k).sum()) < len(label)]


def _one_against_rest(
    true: NDArray[np.bool_], called: NDArray[np.bool_]
) -> tuple[float, float, float]:
    """Sensitivity, specificity and accuracy of one class."""
    return (
        float(called[true].mean()),
        float((~called[~true]).mean()),
        float((called == true).mean()),
    )
