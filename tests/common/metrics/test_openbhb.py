"""The heads and the score of the OpenBHB challenge, and distances of pairs."""

import logging
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import StratifiedKFold

from common.checks import InputError
from common.metrics import ProbeMAE, age_mae, openbhb_score, pair_distances, site_balanced_accuracy
from common.metrics.openbhb import fit_age, fit_site
from tests.oracles import evaluation as oracle

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)


def subjects(count: int = 60, seed: int = 0) -> tuple[NDArray[Any], ...]:
    """Features that tell something of age and site; ages; three sites."""
    rng = np.random.default_rng(seed)
    age, site = rng.uniform(20, 80, count), np.arange(count) % 3
    features = rng.normal(size=(count, 5))
    features[:, 0] += age / 20
    features[:, 1:3] += np.stack([site == 1, site == 2], axis=1)
    return features, age, site


@pytest.mark.parametrize(
    ("mae", "bacc", "score"),
    [(4.10, 0.066, 1.81), (4.10, 0.0573, 1.74), (3.76, 0.051, 1.54), (4.66, 0.083, 2.21)],
    ids=["y-aware", "L_thr", "L_exp", "l1 AlexNet"],
)
def test_the_score_is_that_of_the_talks_table(mae: float, bacc: float, score: float) -> None:
    assert openbhb_score(mae, bacc) == pytest.approx(mae * bacc**0.3, abs=1e-12)
    assert openbhb_score(mae, bacc) == pytest.approx(score, abs=0.006)


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ((4.1, 6.6), r"bacc_internal must be a fraction in \[0, 1\], got 6.6. Divide a perc"),
        ((-1.0, 0.5), "mae_external must be a number of years >= 0, got -1.0"),
        ((float("nan"), 0.5), "mae_external must be"),
        ((4.1, float("nan")), "bacc_internal must be"),
    ],
)
def test_figures_out_of_range_have_no_score(figures: tuple[float, float], message: str) -> None:
    with pytest.raises(InputError, match=f"^openbhb_score: {message}"):
        openbhb_score(*figures)


def test_age_is_read_by_ridge_with_the_best_r2_over_contiguous_folds() -> None:
    features, age, _ = subjects()
    folds = np.array_split(np.arange(60), 5)
    models = [(Ridge(alpha=alpha), oracle.r2) for alpha in STRENGTHS]
    expected = oracle.best_of_five_folds(features, age, models, folds)
    actual = fit_age(features, age)
    assert actual.alpha == expected.alpha
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=0, atol=1e-12)
    test, test_age, _ = subjects(seed=1)
    error = np.mean([abs(a - b) for a, b in zip(expected.predict(test), test_age)])
    assert age_mae(features, age, test, test_age) == pytest.approx(error, abs=1e-12)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_site_is_read_by_saga_with_the_best_balanced_accuracy_over_stratified_folds() -> None:
    features, _, site = subjects()
    folds = [held_out for _, held_out in StratifiedKFold(5).split(features, site)]
    models = [
        (
            LogisticRegression(solver="saga", max_iter=150, C=c, random_state=0),
            oracle.balanced_accuracy,
        )
        for c in STRENGTHS
    ]
    expected = oracle.best_of_five_folds(features, site, models, folds)
    assert fit_site(features, site).C == expected.C
    test, _, test_site = subjects(45, seed=1)
    test_site[:3] = 7  # a site nobody trained on
    hits = oracle.balanced_accuracy(test_site[3:], expected.predict(test[3:]))
    assert 0.4 < hits < 0.99
    actual = site_balanced_accuracy(features, site, test, test_site)
    assert actual == pytest.approx(hits, abs=1e-12)


def test_features_without_the_site_are_at_chance_and_with_it_at_one() -> None:
    _, _, site = subjects(150)
    zero = np.zeros((150, 2))
    assert site_balanced_accuracy(zero, site, zero, site) == pytest.approx(1 / 3)
    message = 10.0 * np.eye(3)[site]
    assert site_balanced_accuracy(message, site, message, site) == 1.0


SPOILT = {
    "rows": (lambda f, s: (f, s[1:], f, s), "fit_site: site must have one value for each row"),
    "nan": (lambda f, s: (f * np.nan, s, f, s), "fit_site: features and site must be finite"),
    "one site": (lambda f, s: (f, s * 0, f, s * 0), "fit_site: site must hold at least 2 sites"),
    "few": (lambda f, s: (f, np.arange(len(s)), f, s), "fit_site: site must hold .* 5 times"),
    "unseen": (lambda f, s: (f, s, f, s + 9), "site_balanced_accuracy: test_site must hold a"),
}


@pytest.mark.parametrize(("spoil", "message"), SPOILT.values(), ids=SPOILT)
def test_subjects_that_cannot_be_scored_are_refused(spoil: Any, message: str) -> None:
    features, _, site = subjects()
    with pytest.raises(InputError, match=f"^{message}"):
        site_balanced_accuracy(*spoil(features, site))


def test_too_few_subjects_for_the_ages_are_refused() -> None:
    features, age, _ = subjects()
    with pytest.raises(InputError, match=r"^fit_age: features must have at least 10 rows, got 9"):
        age_mae(features[:9], age[:9], features, age)


def pairs(count: int = 30) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 4)) * 3, rng.integers(0, 3, count), rng.integers(0, 4, count)


def test_distances_are_those_of_the_loop_over_pairs() -> None:
    z, label, bias = pairs()
    expected = oracle.distance_groups(z, label, bias)
    actual = pair_distances(z, label, bias)
    assert set(actual) == set(expected)
    for name, distances in expected.items():
        np.testing.assert_allclose(np.sort(actual[name]), np.sort(distances), rtol=0, atol=1e-12)


def test_a_group_too_large_is_represented_by_some_of_its_pairs_without_repetition() -> None:
    z, label, bias = pairs()
    expected = oracle.distance_groups(z, label, bias)
    actual = pair_distances(z, label, bias, max_pairs=20)
    for name, distances in actual.items():
        assert len(distances) == min(20, len(expected[name]))
        assert len(np.unique(distances.round(12))) == len(distances)
        assert np.abs(distances[:, None] - np.array(expected[name])).min(axis=1).max() < 1e-12
    again = pair_distances(z, label, bias, max_pairs=20)
    other = pair_distances(z, label, bias, max_pairs=20, seed=1)
    np.testing.assert_array_equal(again["negative_conflicting"], actual["negative_conflicting"])
    assert not np.array_equal(other["negative_conflicting"], actual["negative_conflicting"])


def test_every_pair_is_as_likely_to_be_drawn() -> None:
    z, label, bias = pairs(12)
    total = len(oracle.distance_groups(z, label, bias)["negative_conflicting"])
    drawn = [
        pair_distances(z, label, bias, 5, seed)["negative_conflicting"] for seed in range(2000)
    ]
    counts = np.unique(np.concatenate(drawn).round(12), return_counts=True)[1]
    expected = 2000 * 5 / total
    assert len(counts) == total
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)


def test_rows_without_label_or_bias_are_left_out_and_a_group_may_be_empty() -> None:
    z, label, bias = pairs()
    some = label * 0
    some[5:9] = -1
    actual = pair_distances(z, some, bias)
    kept = np.delete(np.arange(30), [5, 6, 7, 8])
    expected = pair_distances(z[kept], some[kept], bias[kept])
    assert actual["negative_aligned"].size == actual["negative_conflicting"].size == 0
    np.testing.assert_array_equal(actual["positive_aligned"], expected["positive_aligned"])


def test_a_hundred_thousand_rows_need_no_matrix_of_pairs() -> None:
    rng = np.random.default_rng(0)
    z, label = rng.normal(size=(100_000, 3)), rng.integers(0, 10, 100_000)
    bias = np.where(rng.random(100_000) < 0.999, label, (label + 1) % 10)
    actual = pair_distances(z, label, bias, max_pairs=1000)
    assert [len(distances) for distances in actual.values()] == [1000] * 4
    assert all(d.min() >= 0 and d.max() <= 2 for d in actual.values())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z, a, b: (z[:, 0], a, b), "label and bias must have one value for each row of z"),
        (lambda z, a, b: (z, a, b[1:]), "label and bias must have one value for each row of z"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^pair_distances: {message}"):
        pair_distances(*change(*pairs()))


@pytest.mark.parametrize(("count", "finite"), [(14, False), (15, True), (40, True)])
def test_the_watched_age_error_is_a_ridge_on_thirds(
    count: int,
    finite: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logger = logging.getLogger("common.metrics.probe_mae")
    monkeypatch.setattr(logger, "disabled", False)  # a logging.conf of another test may do that
    monkeypatch.setattr(logger, "propagate", True)
    caplog.set_level("INFO", logger.name)
    features, age, _ = subjects(count)
    metric = ProbeMAE()
    metric.update((torch.tensor(features[:9]), torch.tensor(age[:9])))
    metric.update((torch.tensor(features[9:]), torch.tensor(age[9:])))
    actual = metric.compute()
    assert np.isfinite(actual) == finite
    assert finite or "must hold 15 subjects with an age, got 14" in caplog.text
    third, h = np.arange(count) % 3, features.astype(np.float32)
    if finite:
        errors = [
            np.abs(fit_age(h[third != k], age[third != k]).predict(h[third == k]) - age[third == k])
            for k in range(3)
        ]
        assert actual == pytest.approx(np.concatenate(errors).mean(), abs=1e-4)


@pytest.mark.parametrize("fit", [fit_age, fit_site], ids=["age", "site"])
def test_heads_fitted_on_threads_are_those_of_one_to_the_last_bit(fit: Any) -> None:
    features, age, site = subjects()
    target = age if fit is fit_age else site
    one, several = (fit(features, target, jobs) for jobs in (1, 3))
    assert np.array_equal(one.coef_, several.coef_)
    assert np.array_equal(one.intercept_, several.intercept_)
