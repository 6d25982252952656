"""Repeated-measures analysis of variance: do settings differ, each tried with the same seeds?

Of scores y of n seeds (rows) under k settings (columns), with row means, column means and the mean
m of all::

    S_settings = n sum_j (m_j - m)^2                          k - 1 degrees of freedom
    S_error    = sum_ij (y_ij - m_i - m_j + m)^2              (n - 1) (k - 1)
    F = (S_settings / (k - 1)) / (S_error / ((n - 1) (k - 1)))

What a seed does to all settings alike (m_i) is not in the error. With two settings, F is the square
of the paired t. Cheng et al. (2025) test their settings so, over five seeds.

Differs from the paper: nothing known; no correction for departures from sphericity.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from common.checks import require

__all__ = ["Anova", "repeated_measures_anova"]


@dataclass(frozen=True)
class Anova:
    """The test that all settings have the same mean.

    Attributes:
        f: the ratio F; infinite where settings differ and seeds do not, NaN where nothing does.
        degrees: of freedom, of the settings and of the error.
        p: chance of a larger F if no setting differed and errors were normal; NaN with F.
    """

    f: float
    degrees: tuple[int, int]
    p: float


def repeated_measures_anova(scores: NDArray[np.floating[Any]]) -> Anova:
    """Test whether settings differ.

    Args:
        scores: ``(seeds, settings)``, at least 2 x 2, finite; each row one seed under all settings.

    Returns:
        F, its degrees of freedom and p; see the module.

    >>> found = repeated_measures_anova(np.array([[0.80, 0.83], [0.82, 0.83], [0.81, 0.86]]))
    >>> round(found.f, 3), found.degrees, round(found.p, 3)
    (6.75, (1, 2), 0.122)
    """
    y = np.asarray(scores, dtype=np.float64)
    require(
        y.ndim == 2 and min(y.shape) >= 2 and bool(np.isfinite(y).all()),
        "repeated_measures_anova: scores must be finite (seeds, settings), at least 2 of each, got "
        f"shape {y.shape}.",
    )
    n, k = y.shape
    seed, setting, mean = y.mean(axis=1, keepdims=True), y.mean(axis=0, keepdims=True), y.mean()
    between = n * float(((setting - mean) ** 2).sum())
    error = float(((y - seed - setting + mean) ** 2).sum())
    degrees = (k - 1, (n - 1) * (k - 1))
    rounding = 1e-24 * max(1.0, float((y**2).sum()))
    if error <= rounding:
        f = float("inf") if between > rounding else float("nan")
    else:
        f = (between / degrees[0]) / (error / degrees[1])
    return Anova(f, degrees, float(stats.f.sf(f, *degrees)))
