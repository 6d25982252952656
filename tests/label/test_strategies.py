"""Which image is proposed, on points whose answer is plain."""

import numpy as np
import pytest

from common.checks import InputError
from common.label.strategies import STRATEGIES, Round, distances, propose, unit

LEFT, RIGHT = [-4.0, 0.0], [4.0, 0.0]


def groups() -> tuple[np.ndarray, np.ndarray]:
    """Twelve points on the left, six on the right, one far from both; none is labelled."""
    rng = np.random.default_rng(0)
    left, right = (rng.normal(0, 0.1, (n, 2)) + at for n, at in ((12, LEFT), (6, RIGHT)))
    return np.concatenate([left, right, [[0.0, 9.0]]]), np.full(19, -1)


def test_features_are_standardised_and_of_length_one() -> None:
    h = unit(np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 40.0]]))
    assert np.linalg.norm(h, axis=1) == pytest.approx(1)
    assert distances(h[:1], h[:1])[0, 0] == pytest.approx(0, abs=1e-7)
    assert distances(h[:1], -h[:1])[0, 0] == pytest.approx(2)


def test_k_centre_chooses_what_is_farthest_from_the_labels() -> None:
    h, label = groups()
    label[[0, 12]] = 0, 1
    chosen = propose("k_centre", Round(h, label))
    assert chosen is not None
    assert chosen.row == 18
    assert "least like anything labelled" in chosen.why


def test_typicality_chooses_in_the_largest_group_without_a_label() -> None:
    h, label = groups()
    first = propose("typicality", Round(h, label))
    assert first is not None
    label[3] = 0  # of the left group
    second = propose("typicality", Round(h, label))
    assert second is not None
    assert 12 <= second.row < 18
    assert second.why == (
        "It is the most typical of a group of 7 similar images, none of which is labelled."
    )


def test_margin_chooses_the_image_between_the_classes_of_the_labels() -> None:
    h = np.array([[-2.0, 1], [-1.9, -1], [2.0, 1], [1.9, -1], [0.01, 1], [-1.8, 1], [1.8, -1]])
    label = np.array([0, 0, 1, 1, -1, -1, -1])
    chosen = propose("margin", Round(h, label, classes=("clear", "lesion")))
    assert chosen is not None
    assert chosen.row == 4
    assert chosen.why.startswith("By the labels so far it is among the least certain: ")


def test_margin_asks_the_models_scores_until_two_classes_have_two_labels() -> None:
    scores = np.array([[0.9, 0.1], [0.45, 0.55], [0.2, 0.8]])
    known = Round(np.eye(3), np.full(3, -1), scores, ("clear", "lesion"))
    chosen = propose("margin", known)
    assert chosen is not None
    assert (chosen.row, chosen.why) == (
        1,
        "To the model it is among the least certain: lesion 55 %, clear 45 %.",
    )


def test_the_models_scores_keep_the_models_names() -> None:
    scores = np.array([[0.6, 0.4], [0.1, 0.9]])
    known = Round(np.eye(2), np.full(2, -1), scores, ("a", "b"), scored=("no nodule", "nodule"))
    chosen = propose("margin", known)
    assert chosen is not None
    assert chosen.why.endswith("least certain: no nodule 60 %, nodule 40 %.")


def test_combined_prefers_the_typical_one_of_two_that_are_as_unsure() -> None:
    h, label = groups()
    scores = np.tile([0.9, 0.1], (19, 1))
    scores[[5, 18]] = 0.51, 0.49
    chosen = propose("combined", Round(h, label, scores))
    assert chosen is not None
    assert chosen.row == 5


def test_without_scores_margin_says_so_and_takes_a_typical_image() -> None:
    h, label = groups()
    chosen = propose("margin", Round(h, label))
    assert chosen is not None
    assert chosen.why.startswith("There are no scores yet. It is the most typical")


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_labelled_and_skipped_images_are_never_proposed(strategy: str) -> None:
    h, label = groups()
    label[:10] = np.arange(10) % 2
    skipped = np.zeros(19, bool)
    seen = set()
    for _ in range(9):
        chosen = propose(strategy, Round(h, label, skipped=skipped))
        assert chosen is not None
        skipped[chosen.row] = True
        seen.add(chosen.row)
    assert seen == set(range(10, 19))
    assert propose(strategy, Round(h, label, skipped=skipped)) is None


@pytest.mark.bad_input("label")
def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(InputError, match="strategy: must be one of margin"):
        propose("best", Round(np.eye(2), np.full(2, -1)))
