"""Which classes lose accuracy where others gain it, as a transformation's setting is varied.

"No Free Lunch in Self Supervised Representation Learning", section 3.1: over the values of one
setting, two classes behave in opposite ways if at least one of the Pearson, Spearman and Kendall
correlations of their accuracies is below -0.3 with a p-value of its own below 0.05. There is no
correction for the number of pairs and tests, and smooth curves are no independent draws: the rule
marks nearly every pair of random walks. So beside it stand

- the same with all p-values adjusted together (`CorrelationTests.opposite`, by statsmodels);
- what it marks when the accuracies of each class are shuffled over the values (`shuffled`), and
  on random walks (`random_walks`).

Differs from the paper in the adjusted p-values alone: of up to 8 values, Spearman's is exact there.
SciPy's, which the rule as printed takes, is 0 for two classes in reversed order, even of 5 values.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, pearsonr, permutation_test, rankdata

from common.checks import InputError, require

__all__ = [
    "CORRECTIONS",
    "CorrelationTests",
    "correlation_tests",
    "opposite_classes",
    "random_walks",
    "shuffled",
]

CORRECTIONS = {"holm": "Holm", "fdr_bh": "Benjamini-Hochberg"}  # as statsmodels calls them
_CORRELATION = -0.3
_P_VALUE = 0.05
_EXACT = 8  # most values of which all orders are gone through

Floats = NDArray[np.floating[Any]]
T = TypeVar("T")


class CorrelationTests(NamedTuple):
    """Three correlations of each pair of classes.

    Attributes:
        first: ``(pairs,)`` number of a class; only classes whose accuracy changes are there.
        second: ``(pairs,)`` of the other.
        coefficient: ``(3, pairs)``: Pearson's, Spearman's, Kendall's.
        p_value: ``(3, pairs)``, two-sided, as SciPy gives them.
        exact: ``(3, pairs)``, the same with Spearman's exact for few values.
        classes: how many there are.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    coefficient: Floats
    p_value: Floats
    exact: Floats
    classes: int

    def opposite(self, correction: str | None = None) -> NDArray[np.bool_]:
        """Mark the pairs with opposite behaviour.

        Args:
            correction: None for the paper's rule; or a method of statsmodels' `multipletests`, such
                as "holm" or "fdr_bh", by which all p-values are adjusted together.

        Returns:
            ``(pairs,)``.

        Raises:
            InputError: statsmodels is not installed.
        """
        p_value = self.p_value if correction is None else _adjusted(self.exact, correction)
        found: NDArray[np.bool_] = (self.coefficient < _CORRELATION) & (p_value < _P_VALUE)
        return np.asarray(found.any(axis=0))

    def matrix(self, pairs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return marked pairs as a symmetric matrix ``(classes, classes)``."""
        marked = np.zeros((self.classes, self.classes), bool)
        marked[self.first[pairs], self.second[pairs]] = True
        return marked | marked.T


def opposite_classes(accuracy: Floats) -> NDArray[np.bool_]:
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
    tests = correlation_tests(accuracy, exact=False)
    return tests.matrix(tests.opposite())


def correlation_tests(accuracy: Floats, exact: bool = True) -> CorrelationTests:
    """Test all pairs of classes; see `opposite_classes`.

    Args:
        accuracy: likewise.
        exact: False leaves `CorrelationTests.exact` as SciPy has it.

    Raises:
        InputError: likewise.
    """
    accuracy = np.asarray(accuracy, dtype=float)
    require(
        accuracy.ndim == 2 and len(accuracy) >= 3 and bool(np.isfinite(accuracy).all()),
        "opposite_classes: accuracy must be (values >= 3, classes) and finite, got "
        f"{accuracy.shape}. Leave out values of which an accuracy is missing.",
    )
    changing = np.flatnonzero(np.ptp(accuracy, axis=0) > 0)
    i, j = np.triu_indices(len(changing), 1)
    x = accuracy[:, changing]
    if len(i) == 0:
        none = np.zeros((3, 0))
        return CorrelationTests(i, j, none, none, none, accuracy.shape[1])
    ranks = rankdata(x, axis=0)
    found = [pearsonr(of[:, i], of[:, j], axis=0) for of in (x, ranks)]  # of ranks: Spearman's
    kendall = _kendall(x, i, j)
    coefficient = np.stack([*(each.statistic for each in found), kendall[0]])
    p_value = np.stack([*(each.pvalue for each in found), kendall[1]])
    precise = p_value.copy()
    if exact and len(x) <= _EXACT:
        precise[1] = _spearman(ranks, i, j)
    pairs = changing[i], changing[j]
    return CorrelationTests(*pairs, coefficient, p_value, precise, accuracy.shape[1])


def shuffled(accuracy: Floats, draws: int, seed: int = 0) -> Iterator[NDArray[np.bool_]]:
    """Yield what `opposite_classes` marks in accuracies shuffled over the values, class by class.

    Args:
        accuracy: ``(values, classes)``.
        draws: how often.
        seed: of the shuffling.
    """
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield opposite_classes(rng.permuted(accuracy, axis=0))


def random_walks(
    values: int, classes: int, draws: int, seed: int = 0
) -> Iterator[NDArray[np.bool_]]:
    """Yield what `opposite_classes` marks in random walks: smooth curves without any meaning.

    Args:
        values: steps of a walk, standard normal.
        classes: how many walks there are.
        draws: how often.
        seed: of the walks.
    """
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield opposite_classes(rng.normal(size=(values, classes)).cumsum(axis=0))


def _kendall(x: Floats, i: NDArray[np.intp], j: NDArray[np.intp]) -> Floats:
    """SciPy's coefficients and p-values ``(2, pairs)``."""
    a, b = np.triu_indices(len(x), 1)
    signs = np.sign(x[a] - x[b])
    agree = (signs.T @ signs)[i, j]
    ties = [tuple(sorted(np.unique(column, return_counts=True)[1])) for column in x.T]
    keys = [(agreed, ties[first], ties[second]) for agreed, first, second in zip(agree, i, j)]
    return np.array(_once(keys, lambda k: kendalltau(x[:, i[k]], x[:, j[k]])))[:, :2].T


def _spearman(ranks: Floats, i: NDArray[np.intp], j: NDArray[np.intp]) -> list[float]:
    """Two-sided p-values over all orders of one of the two columns of ranks."""
    order = [tuple(column) for column in np.sort(ranks, axis=0).T]
    products = (ranks.T @ ranks)[i, j]
    keys = [(dot, order[first], order[second]) for dot, first, second in zip(products, i, j)]

    def exact(k: int) -> float:
        first, second = ranks[:, i[k]], ranks[:, j[k]]
        settings = {"permutation_type": "pairings", "vectorized": True, "n_resamples": np.inf}
        found = permutation_test((first,), lambda x, axis: (x * second).sum(axis), **settings)
        return float(found.pvalue)

    return _once(keys, exact)


def _once(keys: Sequence[Any], compute: Callable[[int], T]) -> list[T]:
    """Compute what is the same for the same key only once, by the number of a pair that has it."""
    first = {key: number for number, key in reversed(list(enumerate(keys)))}
    known = {key: compute(number) for key, number in first.items()}
    return [known[key] for key in keys]


def _adjusted(p_value: Floats, correction: str) -> Floats:
    try:
        from statsmodels.stats.multitest import multipletests
    except ImportError:
        raise InputError(
            "opposite_classes: a correction needs the package statsmodels, got none. pip install "
            '"monai-contrastive-bundles[analysis]", or pip install -e ".[analysis]" in a checkout.'
        ) from None
    if p_value.size == 0:
        return p_value
    adjusted: Floats = multipletests(p_value.ravel(), method=correction)[1]
    return adjusted.reshape(p_value.shape)
