"""What calling by a threshold is worth: the threshold, the calls, curves, calibration.

Curves, areas and counts are scikit-learn's. The threshold is Youden's (1950): greatest sum of
sensitivity and specificity, on images that the figures are not read from. The expected calibration
error is that of Naeini et al. (2015), https://doi.org/10.1609/aaai.v29i1.9602: ten bins of equal
width, the gap between mean probability and share of positives, weighted by the bin's images.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from common.checks import require
from common.metrics.class_scores import average_precision
from common.metrics.patient_bootstrap import auc

__all__ = [
    "CALLS", "Bin", "calibration_error", "call_scores", "choose_threshold", "curves", "reliability",
]  # fmt: skip

CALLS = (
    "auc", "average_precision", "sensitivity", "specificity", "positive_value", "negative_value",
    "accuracy", "calibration_error",
)  # fmt: skip
BINS = 10
POINTS = 200

Labels = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Curve = tuple[list[float], list[float]]


class Bin(NamedTuple):
    """Images of one range of probability: their number, mean probability, share of positives."""

    images: int
    predicted: float
    observed: float


def choose_threshold(label: Labels, probability: Floats) -> float:
    """Return the threshold of greatest sensitivity + specificity.

    Args:
        label: ``(N,)``, 0 or 1, both present.
        probability: ``(N,)`` in [0, 1].

    Returns:
        Halfway between the lowest probability that is called positive and the next lower one; 1
        where calling nothing positive is best.

    >>> choose_threshold(np.array([0, 0, 1, 1]), np.array([0.1, 0.3, 0.5, 0.9]))
    0.4
    """
    require(
        bool(np.isin(label, (0, 1)).all()) and 0 < int(label.sum()) < len(label),
        "choose_threshold: label must hold both classes, 0 and 1. Give more images.",
    )
    false, true, thresholds = roc_curve(label, probability)
    lowest = float(thresholds[int(np.argmax(true - false))])
    if lowest == np.inf:
        return 1.0
    below = probability[probability < lowest]
    return (lowest + (float(below.max()) if len(below) else 0.0)) / 2


def call_scores(label: Labels, probability: Floats, threshold: float) -> NDArray[np.float64]:
    """Return the figures `CALLS`, each in [0, 1]; NaN where the images allow none.

    Args:
        label: ``(N,)``, 0 or 1.
        probability: ``(N,)`` in [0, 1].
        threshold: above it an image is called positive.
    """
    positive, called = label == 1, probability > threshold
    both = 0 < int(positive.sum()) < len(label)
    rank = [auc(label, probability), average_precision(positive, probability)] if both else []
    shares = [
        _share(called, positive), _share(~called, ~positive), _share(positive, called),
        _share(~positive, ~called), float((called == positive).mean()),
    ]  # fmt: skip
    return np.array([*(rank or [np.nan] * 2), *shares, calibration_error(label, probability)])


def calibration_error(label: Labels, probability: Floats) -> float:
    """Return the expected calibration error, in [0, 1].

    Args:
        label: ``(N,)``, 0 or 1.
        probability: ``(N,)`` in [0, 1].
    """
    bins = reliability(label, probability)
    return sum(b.images * abs(b.predicted - b.observed) for b in bins) / len(label)


def reliability(label: Labels, probability: Floats) -> list[Bin]:
    """Return the bins of the reliability curve that hold images, of ten of equal width.

    Args:
        label: ``(N,)``, 0 or 1.
        probability: ``(N,)`` in [0, 1].
    """
    place = np.minimum((probability * BINS).astype(np.int64), BINS - 1)
    count, predicted, observed = (
        np.bincount(place, weights, BINS) for weights in (None, probability, label)
    )
    return [
        Bin(int(n), float(p / n), float(min(1.0, o / n)))
        for n, p, o in zip(count, predicted, observed)
        if n
    ]


def curves(label: Labels, probability: Floats) -> tuple[Curve, Curve]:
    """Return the ROC curve and the precision-recall curve, at most 200 points each.

    Args:
        label: ``(N,)``, 0 or 1, both present.
        probability: ``(N,)``.

    Returns:
        (1 - specificity, sensitivity) and (recall, precision).
    """
    false, true, _ = roc_curve(label, probability)
    precision, recall, _ = precision_recall_curve(label, probability)
    return _thinned(false, true), _thinned(recall[::-1], precision[::-1])


def _share(what: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(what[among].mean()) if among.any() else float("nan")


def _thinned(x: Floats, y: Floats) -> Curve:
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).round().astype(np.int64))
    return x[kept].tolist(), y[kept].tolist()
