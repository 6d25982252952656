"""Confidence intervals over patients: images of one patient are not independent."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "LEVEL", "auc", "estimates", "patient_draws", "patient_interval", "patient_samples",
    "percentiles",
]  # fmt: skip

LEVEL = 0.95
_DRAWS = 1000

Index = NDArray[np.intp]


def patient_interval(
    label: NDArray[np.integer[Any]],
    scores: NDArray[np.floating[Any]],
    fold: NDArray[np.integer[Any]],
    patient: NDArray[np.str_],
    *,
    level: float = LEVEL,
    draws: int = _DRAWS,
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
    rows = [np.flatnonzero(fold == number) for number in np.unique(fold)]
    groups = [(here, _Patients(patient[here])) for here in rows]
    means = []
    for _ in range(draws):
        areas = []
        for here, patients in groups:
            index = here[patients.draw(generator)]
            if len(np.unique(label[index])) == 2:
                areas.append(auc(label[index], scores[index]))
        if len(areas) == len(groups):
            means.append(np.mean(areas))
    return percentiles(np.array(means), level)


def patient_draws(
    statistic: Callable[[Index], float],
    patient: NDArray[np.str_],
    *,
    draws: int = _DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Any figure of a test set, on bootstrap samples of its patients.

    Args:
        statistic: rows ``(n,)`` of the test set, some of them several times -> the figure.
        patient: ``(N,)`` patient of each row.
        draws: number of samples.
        seed: of the draws; the same seed and patients give the same samples, so that the draws of
            two models may be subtracted from each other.

    Returns:
        ``(draws,)`` figures, for `percentiles`.
    """
    return np.array([statistic(rows) for rows in patient_samples(patient, draws=draws, seed=seed)])


def patient_samples(
    patient: NDArray[np.str_], *, draws: int = _DRAWS, seed: int = 0
) -> Iterator[Index]:
    """Bootstrap samples of the patients of a test set.

    Args:
        patient: ``(N,)`` patient of each row.
        draws: number of samples.
        seed: of the draws; the same seed and patients give the same samples.

    Yields:
        Rows ``(n,)``, some of them several times: all of as many patients as there are.
    """
    generator = np.random.default_rng(seed)
    patients = _Patients(patient)
    for _ in range(draws):
        yield patients.draw(generator)


def estimates(
    names: Sequence[str],
    figures: Callable[[Index], NDArray[np.float64]],
    patient: NDArray[np.str_],
    *,
    draws: int = 500,
) -> dict[str, dict[str, float | None]]:
    """Figures of a test set, each with the ends of its interval over patients.

    Args:
        names: of the figures.
        figures: rows ``(n,)`` of the test set -> the figures; NaN where the rows have none.
        patient: ``(N,)`` patient of each row.
        draws: number of samples.

    Returns:
        By name "value", "low" and "high", all None where the test set has no such figure. The ends
        are None where every sample gives the same, as where all of few are right: that is no
        certainty, and such samples tell no interval.
    """
    drawn = np.array([figures(rows) for rows in patient_samples(patient, draws=draws)])
    made: dict[str, dict[str, float | None]] = {}
    for name, value, column in zip(names, figures(np.arange(len(patient))), drawn.T):
        known = bool(np.isfinite(value) and np.isfinite(column).any())
        low, high = percentiles(column) if known else (None, None)
        if known and np.nanmin(column) == np.nanmax(column):
            low = high = None
        made[name] = {"value": float(value) if known else None, "low": low, "high": high}
    return made


def percentiles(figures: NDArray[np.float64], level: float = LEVEL) -> tuple[float, float]:
    """Return the ends between which the share `level` of the draws lies; NaN draws are left out."""
    low, high = np.nanquantile(figures, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


class _Patients:
    """Rows grouped by patient, patients in the order of their names."""

    def __init__(self, patient: NDArray[np.str_]) -> None:
        _, number, self._size = np.unique(patient, return_inverse=True, return_counts=True)
        self._order = np.argsort(number, kind="stable")
        self._first = np.cumsum(self._size) - self._size

    def draw(self, generator: np.random.Generator) -> Index:
        """Return all rows of as many patients as there are, drawn with replacement."""
        chosen = generator.integers(len(self._size), size=len(self._size))
        size = self._size[chosen]
        start = self._first[chosen] - (np.cumsum(size) - size)
        rows: Index = self._order[np.repeat(start, size) + np.arange(size.sum())]
        return rows


def auc(label: NDArray[np.integer[Any]], scores: NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve from the mean ranks of the scores (Mann and Whitney's U).

    The same as scikit-learn's, whose checks of the input take longer than a thousand ranks.

    Args:
        label: ``(N,)``, 0 or 1, both present.
        scores: ``(N,)``.
    """
    _, position, count = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(count) - (count - 1) / 2  # from 1; ties share their mean
    positive = label == 1
    n = int(positive.sum())
    u = mean_rank[position][positive].sum() - n * (n + 1) / 2
    return float(u / (n * (len(label) - n)))
