"""Which classes lose accuracy where others gain it, as a transformation's setting is varied.

"No Free Lunch in Self Supervised Representation Learning", section 3.1: over the values of one
setting, two classes behave in opposite ways if at least one of the Pearson, Kendall and Spearman
correlations of their accuracies is below -0.3 with a p-value of its own below 0.05. There is no
correction for the number of pairs and tests, and smooth curves are no independent draws: the rule
marks nearly every pair of random walks. Compare with the same accuracies, shuffled.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, pearsonr, spearmanr

from common.checks import require

__all__ = ["opposite_classes"]

_CORRELATION = -0.3
_P_VALUE = 0.05


def opposite_classes(accuracy: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Mark the pairs of classes with opposite behaviour.

    Args:
        accuracy: ``(values, classes)``, at least 3 values: of each class at each value of the
            setting, the mean over seeds. A class whose accuracy never changes has no opposite.

    Returns:
        ``(classes, classes)``, symmetric, False on the diagonal. ``.any(axis=0).mean()`` is the
        paper's figure: the share of classes that have an opposite.

    Raises:
        InputError: another shape, or values that are not finite.

    >>> opposite_classes(np.array([[0.1, 0.9], [0.2, 0.8], [0.4, 0.6], [0.5, 0.3]]))
    array([[False,  True],
           [ True, False]])
    """
    accuracy = np.asarray(accuracy)
    require(
        accuracy.ndim == 2 and len(accuracy) >= 3 and bool(np.isfinite(accuracy).all()),
        "opposite_classes: accuracy must be (values >= 3, classes) and finite, got "
        f"{accuracy.shape}. Leave out values of which an accuracy is missing.",
    )
    classes = accuracy.shape[1]
    opposite = np.zeros((classes, classes), bool)
    for i, j in combinations(np.flatnonzero(np.ptp(accuracy, axis=0) > 0), 2):
        tests = (test(accuracy[:, i], accuracy[:, j]) for test in (pearsonr, spearmanr, kendalltau))
        opposite[i, j] = opposite[j, i] = any(
            pearson.statistic < _CORRELATION and pearson.pvalue < _P_VALUE for pearson in tests
        )
    return opposite
