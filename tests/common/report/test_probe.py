"""The report on a probe trained by SGD, and the analysis of variance it makes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from common.checks import InputError
from common.report import build_report
from common.report.repeated_measures import repeated_measures_anova
from tests.common.report.real_runs import AUROC, write_probe_run
from tests.common.report.words import Words
from tests.oracles import sgd_probe as oracle


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probe")
    return build_report([write_probe_run(folder / s, s) for s in AUROC], folder / "r.html", "T")


def values(report: Path, strategy: str) -> dict[str, Any]:
    return dict(json.loads((report.parent / strategy / "evaluation.json").read_text()))


def part(report: Path, start: str, end: str) -> str:
    words = Words(report).text
    return words[words.index(start) : words.index(end, words.index(start))]


def test_f_is_that_of_two_least_squares_fits() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 3)) + np.array([0, 0.4, 1.0])
    actual = repeated_measures_anova(scores)
    assert actual.f == pytest.approx(oracle.anova(scores))
    assert actual.degrees == (2, 8)
    assert actual.p == pytest.approx(1 - stats.f.cdf(actual.f, 2, 8))


def test_of_two_settings_f_is_the_square_of_the_paired_t() -> None:
    scores = np.random.default_rng(1).normal(size=(6, 2)) + np.array([0, 0.7])
    t = stats.ttest_rel(scores[:, 0], scores[:, 1])
    actual = repeated_measures_anova(scores)
    assert actual.f == pytest.approx(t.statistic**2)
    assert actual.p == pytest.approx(t.pvalue)


def test_what_a_seed_does_to_all_settings_is_not_in_the_error() -> None:
    scores = np.random.default_rng(2).normal(size=(5, 3))
    shifted = scores + 100 * np.arange(5)[:, None]
    assert repeated_measures_anova(shifted).f == pytest.approx(repeated_measures_anova(scores).f)


def test_seeds_that_agree_entirely_give_an_infinite_f_and_equal_scores_none() -> None:
    apart = repeated_measures_anova(np.array([[0.5, 0.75], [0.25, 0.5]]))
    assert (apart.f, apart.p) == (math.inf, 0.0)
    same = repeated_measures_anova(np.full((3, 2), 0.5))
    assert math.isnan(same.f)
    assert math.isnan(same.p)


@pytest.mark.parametrize("scores", [np.ones((1, 2)), np.ones((2, 1)), np.full((2, 2), np.nan)])
def test_too_few_or_unknown_scores_are_refused(scores: Any) -> None:
    with pytest.raises(InputError, match=r"must be finite \(seeds, settings\), at least 2"):
        repeated_measures_anova(scores)


def test_the_figures_stand_by_strategy_with_their_intervals(report: Path) -> None:
    table = part(report, "Figures on the test part", "Train set by test set")
    weak = values(report, "weak")
    low, high = weak["interval"]["auroc"]
    assert f"{weak['auroc']:.3f} ({low:.3f}–{high:.3f})" in table
    assert "Weak augmentation and artefacts" in table
    assert f"{weak['logistic']['auroc']:.3f}" in table
    assert "averaged over all classes but normal." in table
    assert "a logistic regression on the pixels themselves" in Words(report).text.lower()


def test_every_pair_of_data_sets_has_a_column(report: Path) -> None:
    table = part(report, "Train set by test set", "Do the strategies differ?")
    heads = ["own (internal)", "own → other", "other → own", "other (internal)"]
    assert [table.index(head) for head in heads] == sorted(table.index(head) for head in heads)
    outside = values(report, "strong")["matrix"][1]["auroc"]
    assert f"{outside:.3f}" in table


def test_one_data_set_needs_no_matrix(tmp_path: Path) -> None:
    first = write_probe_run(tmp_path / "a", "weak")
    row = json.loads((first / "evaluation.json").read_text())["matrix"][:1]
    alone = write_probe_run(tmp_path / "b", "weak", matrix=row)
    words = Words(build_report([alone], tmp_path / "r.html", "T")).text
    assert "Train set by test set" not in words
    assert "Do the strategies differ?" not in words


def test_strategies_are_compared_over_the_seeds_they_share(report: Path) -> None:
    table = part(report, "Do the strategies differ?", "Do the views of an image")
    columns = [[s["auroc"] for s in values(report, name)["matrix"][0]["seeds"]] for name in AUROC]
    scores = np.array(columns).T
    every = repeated_measures_anova(scores)
    assert f"F = {every.f:.2f} (2, 4), p " in table
    gap = (scores[:, 0] - scores[:, 1]).mean()
    assert gap < 0
    assert f"−{-gap:.3f}" in table


def test_the_groups_of_views_are_drawn_and_their_silhouette_told(report: Path) -> None:
    words = part(report, "Do the views of an image", "Training")
    for name in AUROC:
        groups = values(report, name)["groups"]
        assert f"silhouette {groups['silhouette']:.3f}".replace("-", "−") in words
        assert f"mean distance {groups['positive']['mean']:.2f} of positive" in words
    page = report.read_text()
    for name in ("Strong augmentation", "Weak augmentation"):
        assert f'aria-label="{name}: map of views"' in page
        assert f'aria-label="{name}: distances of pairs of views"' in page


def test_a_damaged_map_is_refused(tmp_path: Path) -> None:
    run = write_probe_run(tmp_path / "a", "weak")
    np.savez(run / "groups.npz", place=np.zeros((3, 2)))
    with pytest.raises(InputError, match=r"groups.npz: must hold an array 'place' \(images"):
        build_report([run], tmp_path / "r.html", "T")
