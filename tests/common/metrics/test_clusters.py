"""Clusters against classes, and classes that react to a setting in opposite ways."""

from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.metrics import clustering_scores, opposite_classes
from tests.oracles import clusters as oracle

POINTS = [[0.0, 0.0], [0.1, 0.2], [0.2, 0.0], [5.0, 5.0], [5.0, 5.3], [9.0, 0.1], [9.2, 0.0]]
CLUSTER = [0, 0, 0, 1, 1, 2, 2]  # what k-means must find
LABEL = [0, 0, 1, 1, 1, 1, 2]


def test_clusters_are_compared_with_classes_by_the_formulas() -> None:
    actual = clustering_scores(np.array(POINTS), np.array(LABEL))
    assert actual["ami"] == pytest.approx(
        oracle.adjusted_information(LABEL, CLUSTER, largest=True), abs=1e-12
    )
    assert actual["ami_arithmetic"] == pytest.approx(
        oracle.adjusted_information(LABEL, CLUSTER, largest=False), abs=1e-12
    )
    assert actual["silhouette"] == pytest.approx(oracle.silhouette(POINTS, CLUSTER), abs=1e-12)


def test_a_cluster_of_one_row_counts_nothing_and_unknown_rows_are_left_out() -> None:
    points, label = [[0.0], [1.0], [10.0]], [0, 1, 1]
    actual = clustering_scores(np.array([*points, [3.0]]), np.array([*label, -1]), clusters=2)
    assert actual["silhouette"] == pytest.approx(oracle.silhouette(points, [0, 0, 1]), abs=1e-12)


def test_the_same_seed_finds_the_same_clusters() -> None:
    rng = np.random.default_rng(0)
    features, label = rng.normal(size=(60, 3)), rng.integers(0, 4, 60)
    assert clustering_scores(features, label, seed=3) == clustering_scores(features, label, seed=3)


@pytest.mark.bad_input("metrics")
@pytest.mark.parametrize(
    ("features", "label", "clusters", "message"),
    [
        (np.ones((3, 2)), np.zeros(2, int), None, r"label must have one value for each row"),
        (np.full((3, 2), np.nan), np.arange(3), None, "features must be finite"),
        (np.eye(3), np.zeros(3, int), None, "got 1 for 3 labelled rows"),
        (np.eye(3), np.array([0, 1, -1]), None, "got 2 for 2 labelled rows"),
        (np.ones((4, 2)), np.array([0, 1, 0, 1]), None, "1 of them different"),
        (np.eye(4), np.array([0, 1, 0, 1]), 4, "got 4 for 4 labelled rows"),
    ],
)
def test_what_cannot_be_clustered_is_refused(
    features: Any, label: Any, clusters: Any, message: str
) -> None:
    with pytest.raises(InputError, match=f"^clustering_scores: .*{message}"):
        clustering_scores(features, label, clusters)


@pytest.mark.parametrize("seed", range(4))
def test_opposite_classes_are_those_of_the_three_correlations_by_loops(seed: int) -> None:
    accuracy = np.random.default_rng(seed).random((10, 6))
    accuracy[:, 5] = 1 - accuracy[:, 0] + 0.1 * accuracy[:, 5]
    columns = accuracy.T.tolist()
    expected = [[i != j and oracle.opposite(a, b) for j, b in enumerate(columns)]
                for i, a in enumerate(columns)]  # fmt: skip
    actual = opposite_classes(accuracy)
    assert actual.dtype == bool
    np.testing.assert_array_equal(actual, expected)
    assert actual[0, 5]


def test_one_correlation_below_the_bound_is_enough() -> None:
    x = np.arange(10.0)
    y = np.where(x < 9, -x, 40.0)  # falls, but for one outlier that turns Pearson's sign
    assert oracle.pearson(x.tolist(), y.tolist()) > 0
    assert opposite_classes(np.stack([x, y], axis=1))[0, 1]


def test_classes_that_rise_together_or_never_change_are_not_opposite() -> None:
    x = np.arange(8.0)
    assert not opposite_classes(np.stack([x, 2 * x + 1, np.ones(8)], axis=1)).any()


@pytest.mark.bad_input("metrics")
@pytest.mark.parametrize("accuracy", [np.ones(3), np.ones((2, 4)), np.full((5, 2), np.nan)])
def test_accuracies_that_cannot_be_compared_are_refused(accuracy: Any) -> None:
    with pytest.raises(InputError, match=r"^opposite_classes: accuracy must be \(values >= 3"):
        opposite_classes(accuracy)
