"""What `active_learning.py` reads off its curves: areas by drawn patients, labels for a mark."""

from collections.abc import Sequence

import numpy as np
from sklearn.isotonic import isotonic_regression

Array = np.ndarray
DRAWS = 1000


def weights(patient: Array, seed: int) -> Array:
    """``(1 + DRAWS, N)`` how often each row counts: once, then patients drawn with replacement."""
    _, number = np.unique(patient, return_inverse=True)
    count = int(number.max()) + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), DRAWS)
    return np.concatenate([np.ones((1, len(patient))), drawn[:, number]])


def aucs(y: Array, told: Array, weight: Array) -> Array:
    """``(draws,)`` AUC; of more than two classes the mean of each against the rest."""
    values = []
    for k in [1] if told.shape[1] == 2 else range(told.shape[1]):
        yes, no = y == k, y != k
        above, below = told[yes, k][:, None], told[no, k]
        won = (above > below) + 0.5 * (above == below)
        total = weight[:, yes].sum(axis=1) * weight[:, no].sum(axis=1)
        share = ((weight[:, yes] @ won) * weight[:, no]).sum(axis=1)
        values.append(np.where(total > 0, share / np.maximum(total, 1), np.nan))
    return np.nanmean(values, axis=0)


def smoothed(curve: Array, steps: Sequence[int]) -> Array:
    """A curve that rises: isotonic regression, straight between the middles of its flat parts."""
    level, part = np.unique(isotonic_regression(curve), return_inverse=True)
    middle = np.bincount(part, weights=np.asarray(steps, float)) / np.bincount(part)
    return np.interp(steps, middle, level)


def needed(curve: Array, mark: float, steps: Sequence[int]) -> float:
    """Labels at which a rising curve reaches the mark; infinite where it does not."""
    if curve[-1] < mark:
        return float("inf")
    k = int(np.argmax(curve >= mark))
    if k == 0:
        return float(steps[0])
    share = (mark - curve[k - 1]) / (curve[k] - curve[k - 1])
    return float(steps[k - 1] + share * (steps[k] - steps[k - 1]))


def limits(values: Array) -> list[float | None]:
    """Value and 95 % interval; None stands for more labels than there were."""
    low, high = np.quantile(values[1:], [0.025, 0.975], method="nearest")
    return [float(v) if np.isfinite(v) else None for v in (values[0], low, high)]
