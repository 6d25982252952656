"""The threshold, the calls, calibration, subgroups and the cases behind them."""

from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.evaluation.calls import Called, calls
from common.evaluation.cases import patients, pictures_of, subgroups
from common.evaluation.decision import Scored, decide, decision, probability_of
from common.evaluation.gaps import Aged, gaps
from common.metrics.decision import CALLS, call_scores, choose_threshold, curves, reliability
from common.report.called import Decision
from common.report.gaps import Gaps
from common.report.schema import from_json

LABEL = np.array([0, 0, 0, 1, 0, 1, 1, 1])
SAID = np.array([0.05, 0.15, 0.3, 0.35, 0.6, 0.65, 0.8, 0.95])
NAMES = np.array(["p1", "p1", "p2", "p3", "p4", "p5", "p6", "p6"])
TEST = Scored(LABEL, SAID, NAMES)
MANIFEST: dict[str, Any] = {
    "classes": {"site": ["Bern", "Graz"]},
    "test": [
        {"patient": name, "site": n % 2, "sex": -1, "age": 15.0 + 9 * n, "cause": "virus"[n % 2 :]}
        | {"thumbnail": f"{name}.jpg"}  # of data_prep brain_t1: no group
        for n, name in enumerate(NAMES)
    ],
}


def test_the_threshold_has_the_greatest_sensitivity_and_specificity_on_its_images() -> None:
    actual = choose_threshold(LABEL, SAID)
    every = [sum(call_scores(LABEL, SAID, t)[2:4]) for t in np.linspace(0, 1, 201)]
    assert sum(call_scores(LABEL, SAID, actual)[2:4]) == pytest.approx(max(every))
    assert actual == pytest.approx((0.65 + 0.6) / 2)  # of equal ones the highest


def test_a_model_that_is_wrong_everywhere_calls_nothing_positive() -> None:
    assert choose_threshold(LABEL, 1 - SAID) == 1.0


def test_where_no_threshold_beats_guessing_nothing_is_called() -> None:
    found = decision("tumour", Scored(1 - LABEL, SAID, NAMES), TEST)
    assert found is not None
    assert found["threshold"] == 1.0
    assert found["confusion"] == [[4, 0], [4, 0]]
    assert found["figures"]["positive_value"]["value"] is None


def test_calls_are_counted_by_hand() -> None:
    scores = dict(zip(CALLS, call_scores(LABEL, SAID, 0.5)))
    assert scores["sensitivity"] == scores["specificity"] == 3 / 4
    assert scores["positive_value"] == scores["negative_value"] == scores["accuracy"] == 3 / 4
    assert scores["auc"] == 15 / 16
    gaps_of_bins = [0.05, 0.15, 2 * abs(0.325 - 0.5), 2 * abs(0.625 - 0.5), 0.2, 0.05]
    assert scores["calibration_error"] == pytest.approx(sum(gaps_of_bins) / 8)


def test_bins_of_probability_hold_every_image_once() -> None:
    bins = reliability(LABEL, SAID)
    assert sum(each.images for each in bins) == 8
    assert bins[2] == (2, pytest.approx(0.325), 0.5)
    assert reliability(np.array([1]), np.array([1.0])) == [(1, 1.0, 1.0)]


def test_curves_start_and_end_where_they_must_and_stay_short() -> None:
    generator = np.random.default_rng(0)
    roc, precision = curves(generator.integers(0, 2, 5000), generator.random(5000))
    assert (roc[0][0], roc[1][0], roc[0][-1], roc[1][-1]) == (0, 0, 1, 1)
    assert (precision[0][0], precision[0][-1]) == (0, 1)
    assert len(roc[0]) <= 200


def test_the_threshold_comes_from_validation_and_never_from_the_test_part() -> None:
    low = Scored(LABEL, SAID / 10, NAMES)
    actual = decision("tumour", low, TEST, MANIFEST)
    assert actual is not None
    assert actual["threshold"] == pytest.approx(choose_threshold(LABEL, SAID / 10))
    assert actual["confusion"] == [[1, 3], [0, 4]]  # above 0.0625 all but one
    assert actual["scored_on"] == {"images": 8, "patients": 6, "positive": 4}


def test_intervals_draw_patients_and_patients_are_called_by_their_mean() -> None:
    actual = decision("tumour", TEST, TEST, MANIFEST)
    assert actual is not None
    for each in actual["figures"].values():
        if each["low"] is not None:
            assert 0 <= each["low"] <= each["value"] <= each["high"] <= 1
    assert actual["figures"]["specificity"] == {"value": 1.0, "low": None, "high": None}
    assert actual["patients"]["sensitivity"]["value"] == 2 / 3  # p3 alone is called wrongly
    assert actual["patients"]["specificity"]["value"] == 1.0


def test_subgroups_have_the_manifests_names_and_their_own_counts() -> None:
    groups = {(column, name): who.sum() for column, name, who in subgroups(MANIFEST, "test", 8)}
    assert groups["site", "Bern"] == groups["site", "Graz"] == 4
    assert groups["age", "under 18"] == 1
    assert groups["cause", "virus"] == 4  # a column of one's own
    assert {column for column, _ in groups} == {"site", "age", "cause"}
    assert not list(subgroups(None, "test", 8))


def test_a_number_of_sex_is_called_what_the_manifest_says_and_never_guessed() -> None:
    people = {"test": [{"patient": f"p{n}", "sex": n % 2} for n in range(4)]}
    named = {**people, "classes": {"sex": ["female", "male"]}}
    assert [name for _, name, _ in subgroups(named, "test", 4)] == ["female", "male"]
    assert [name for _, name, _ in subgroups(people, "test", 4)] == ["0", "1"]


@pytest.mark.bad_input("run")
def test_a_manifest_of_other_images_is_refused() -> None:
    with pytest.raises(InputError, match="must list the 3 images scored, got 8"):
        list(subgroups(MANIFEST, "test", 3))


def test_the_worst_errors_come_first_and_carry_the_manifests_numbers_only() -> None:
    images = [{"image": torch.rand(4, 1, 6, 6)}, {"image": torch.rand(4, 1, 6, 6)}]
    actual, archives = decide(["tumour"], [TEST], [TEST], images, MANIFEST)
    assert len(actual) == 1
    cases = archives["cases.npz"]
    assert cases["worst"].tolist() == [3]  # missed at 0.35
    assert cases["patient"].tolist() == NAMES.tolist()
    assert cases["image"].shape == (1, 6, 6)


def test_a_finding_without_both_classes_has_no_decision() -> None:
    nobody = Scored(0 * LABEL, SAID, NAMES)
    assert decision("tumour", nobody, TEST) is None
    assert decide(["tumour"], [TEST], [nobody], [], None) == ([], {})


SHAPES = {
    "grey": ((1, 4, 6), (4, 6)),
    "colour": ((3, 4, 6), (4, 6, 3)),
    "volume": ((1, 4, 6, 5), (6, 4)),
    "large": ((1, 320, 80), (160, 40)),
}


@pytest.mark.parametrize(("shape", "seen"), SHAPES.values(), ids=SHAPES)
def test_a_picture_shows_the_image_or_the_middle_of_a_volume(shape: Any, seen: Any) -> None:
    pictures = pictures_of([{"image": torch.rand(2, *shape)}], [1])
    assert pictures.shape == (1, *seen)
    assert (pictures.min(), pictures.max()) == (0, 255) or shape[-1] == 80
    assert pictures_of([{"image": torch.rand(2, 7)}], [0]).size == 0  # a row of a table


def test_patients_are_the_manifests_where_it_lists_the_part() -> None:
    own = np.array(list("12345678"))
    assert patients(MANIFEST, "test", own).tolist() == NAMES.tolist()
    assert patients(None, "test", own) is own


def test_probabilities_are_those_of_the_logits() -> None:
    logits = np.array([-800.0, 0.0, 1.5])
    np.testing.assert_allclose(probability_of(logits), torch.tensor(logits).sigmoid(), atol=1e-12)


def test_a_class_taken_for_another_is_counted_in_its_row() -> None:
    said = np.eye(3)[[0, 1, 1, 2]] * 0.7 + 0.1
    actual = calls(Called(np.array([0, 1, 2, 2]), said, np.arange(4).astype(str)), ["a", "b", "c"])
    assert actual["confusion"] == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert actual["accuracy"]["value"] == 0.75
    assert actual["calibration_error"]["value"] == pytest.approx(0.8 - 0.75)


def test_gaps_have_a_side_a_size_and_a_slope() -> None:
    age = np.array([20.0, 40, 60, 80, 30, 50])
    message = age + np.array([3.0, 1, -1, -3, 5, 5])
    internal = np.array([True] * 4 + [False] * 2)
    actual = gaps(Aged(age, message, np.arange(6).astype(str), internal))
    assert actual["internal"]["bias"]["value"] == 0
    assert actual["internal"]["mae"]["value"] == 2
    assert actual["internal"]["slope"]["value"] == pytest.approx(-0.1)
    assert actual["external"]["bias"] == {"value": 5.0, "low": None, "high": None}
    assert sum(actual["counts"]["internal"]) == 4
    assert from_json(Gaps, actual, None).external.mae.value == 5  # type: ignore[arg-type]


def test_what_is_computed_is_what_the_report_reads() -> None:
    actual = decision("tumour", TEST, TEST, MANIFEST)
    assert actual is not None
    assert from_json(Decision, actual, None).who == "images with tumour"  # type: ignore[arg-type]
