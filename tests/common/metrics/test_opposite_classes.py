"""Opposite classes beside chance: SciPy's tests pair by pair, corrections, controls."""

import numpy as np
import pytest
from scipy.stats import kendalltau, pearsonr, spearmanr

from common.metrics import correlation_tests, opposite_classes, random_walks, shuffled
from tests.oracles import class_bias as oracle


@pytest.mark.parametrize(("values", "levels"), [(5, 0), (6, 4), (10, 0), (12, 5)])
def test_all_pairs_at_once_are_scipys_tests_pair_by_pair(values: int, levels: int) -> None:
    x = np.random.default_rng(0).random((values, 5))
    x = np.ceil(levels * x) / levels if levels else x  # few levels: ties
    tests = correlation_tests(x)
    for k, (i, j) in enumerate(zip(tests.first, tests.second)):
        pair = x[:, i], x[:, j]
        each = [test(*pair) for test in (pearsonr, spearmanr, kendalltau)]
        np.testing.assert_allclose(tests.coefficient[:, k], [r.statistic for r in each], atol=1e-12)
        np.testing.assert_allclose(tests.p_value[:, k], [r.pvalue for r in each], atol=1e-12)


@pytest.mark.parametrize("levels", [0, 4], ids=["no ties", "ties"])
def test_spearmans_p_value_of_few_values_counts_all_orders(levels: int) -> None:
    x = np.random.default_rng(1).random((6, 4))
    x = np.ceil(levels * x) / levels if levels else x
    tests = correlation_tests(x)
    expected = [
        oracle.exact_spearman(x[:, i].tolist(), x[:, j].tolist())
        for i, j in zip(tests.first, tests.second)
    ]
    np.testing.assert_allclose(tests.exact[1], expected, atol=1e-12)
    np.testing.assert_array_equal(tests.exact[::2], tests.p_value[::2])


def test_a_reversed_order_of_five_values_has_no_p_value_of_zero_once_corrected() -> None:
    x = np.arange(5.0)
    tests = correlation_tests(np.stack([x, -(x**3)], axis=1))
    assert tests.p_value[1, 0] == pytest.approx(0)
    assert tests.exact[1, 0] == pytest.approx(2 / 120)


def test_holm_adjusts_all_p_values_together() -> None:
    pytest.importorskip("statsmodels")
    x = np.random.default_rng(2).random((7, 6))
    x[:, 5] = -x[:, 0] + 0.01 * x[:, 5]
    tests = correlation_tests(x)
    adjusted = np.reshape(oracle.holm(tests.exact.ravel().tolist()), tests.exact.shape)
    expected = ((tests.coefficient < -0.3) & (adjusted < 0.05)).any(axis=0)
    np.testing.assert_array_equal(tests.opposite("holm"), expected)
    assert expected.sum() == 1
    assert tests.opposite("fdr_bh").sum() >= 1


def test_shuffling_keeps_the_accuracies_of_each_class_and_loses_a_planted_pair() -> None:
    x = np.stack([np.arange(12.0), -np.arange(12.0)], axis=1)
    assert opposite_classes(x)[0, 1]
    found = [marked[0, 1] for marked in shuffled(x, draws=60)]
    assert 0 < np.mean(found) < 0.2  # three tests, one-sided, at 0.05 each


def test_the_rule_marks_nearly_every_class_of_random_walks() -> None:
    shares = [marked.any(axis=0).mean() for marked in random_walks(20, 30, draws=10)]
    assert np.mean(shares) > 0.95
