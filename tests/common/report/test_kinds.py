"""The report on brain age, on biased classes and on a diagnosis."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.checks import InputError
from common.metrics.pair_distances import GROUPS
from common.report import build_report
from common.report.__main__ import main
from common.report.charts import steps
from common.report.kinds.accuracy import GROUPS as TOLD_GROUPS
from common.report.words import strategy_name
from tests.common.report import real_runs
from tests.common.report.real_runs import (
    write_age_run,
    write_cases_run,
    write_classes_run,
    write_run,
)
from tests.common.report.words import Words


def page(folder: Path, write: Any, strategies: Any, seeds: int = 2) -> Path:
    runs = [write(folder / f"{s}{n}", s, n) for s in strategies for n in range(seeds)]
    return build_report(runs, folder / "report.html", "T")


@pytest.fixture(scope="module")
def ages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("ages"), write_age_run, real_runs.AGES)


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("classes"), write_classes_run, real_runs.CLASSES)


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page(tmp_path_factory.mktemp("cases"), write_cases_run, real_runs.CASES)


def values(report: Path, run: str) -> dict[str, Any]:
    return dict(json.loads((report.parent / run / "evaluation.json").read_text()))


def part(report: Path, start: str, end: str) -> str:
    text = Words(report).text
    return text[text.index(start) : text.index(end, text.index(start))]


def test_the_verdict_on_brain_age_names_the_lowest_score_first(ages: Path) -> None:
    lc = [np.mean([values(ages, f"{s}{n}")["lc"] for n in (0, 1)]) for s in real_runs.AGES]
    best, second = np.sort(lc)[:2]
    assert best == lc[list(real_runs.AGES).index("exponential")]
    words = part(ages, "Which strategy, and how it was trained", "Age error")
    assert words.index(f"L_exp: public-validation Lc {best:.2f} (95 % interval") < 50
    assert f"difference −{round(second, 2) - round(best, 2):.2f}" in words
    untrained = values(ages, "l10")["baselines"]["untrained"]["lc"]
    assert f"reading on an untrained encoder (public-validation Lc {untrained:.2f})" in words


def test_a_lower_baseline_is_as_good_where_lower_is_better(tmp_path: Path) -> None:
    figures = {"mae_internal": 3.0, "mae_external": 3.0, "bacc_internal": 0.2, "lc": 1.9}
    run = write_age_run(tmp_path / "a", "y_aware", lc=2.0, baselines={"pixels": figures})
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "Beware: the same reading on the pixels themselves" in text


def test_site_leakage_is_drawn_from_zero_beside_chance_and_the_floor_of_age(ages: Path) -> None:
    text = part(ages, "What the features tell of the site", "Predicted against")
    assert "chance 0.333" in text
    assert f"age alone {values(ages, 'l10')['bacc_age_floor']:.3f}" in text
    mean = np.mean([values(ages, f"l1{n}")["bacc_internal"] for n in (0, 1)])
    assert f"{mean:.3f} (" in text
    assert "pixels" in text
    bars = re.findall(r'<rect x="0" y="8" width="([\d.]+)%"', ages.read_text())
    widths = [float(width) for width in bars]
    assert len(widths) == 6
    pixels = values(ages, "l10")["baselines"]["pixels"]["bacc_internal"]
    assert widths[1] / widths[4] == pytest.approx(mean / pixels, rel=0.01)


def test_every_subject_is_a_point_in_the_panels_of_all_internal_and_all_external(
    ages: Path,
) -> None:
    with np.load(ages.parent / "y_aware0" / "scores.npz") as scores:
        internal, error = scores["internal"], scores["predicted_age"] - scores["age"]
    text = part(ages, "Predicted against true age by site", "by epoch")
    assert f"All internaln = {internal.sum()}" in text
    assert f"All externaln = {(~internal).sum()}" in text
    assert f"{np.abs(error[internal]).mean():.2f} y" in text
    assert "(internal)" in text
    panels = [part.count("<circle") for part in ages.read_text().split('class="points"')[1:]]
    assert internal.sum() in panels


def test_a_site_without_a_name_is_called_by_its_number(tmp_path: Path) -> None:
    run = write_age_run(tmp_path / "a", "y_aware", site_names=[])
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert re.search(r"site \d \(internal\)", text)


def test_without_scores_the_figures_are_shown_and_the_points_are_not(tmp_path: Path) -> None:
    run = write_age_run(tmp_path / "a", "y_aware")
    (run / "scores.npz").unlink()
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "No predicted ages were kept." in text
    assert "age alone " in text


def test_a_trained_output_is_told_beside_the_ridge(tmp_path: Path) -> None:
    head = {"mae_internal": 3.1, "mae_external": 4.44}
    run = write_age_run(tmp_path / "a", "l1", head=head)
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "External error of the network's own trained output: ℓ1 4.44 years." in text


def test_accuracy_is_given_as_mean_and_deviation_over_seeds_by_head_and_bias(
    classes: Path,
) -> None:
    table = part(classes, "Accuracy by head", "Distances of pairs")
    runs = [values(classes, f"fairkl_released{n}") for n in (0, 1)]
    for actual in (runs, [run["probe"] for run in runs]):
        shares = [100 * run["accuracy_conflicting"] for run in actual]
        assert f"{np.mean(shares):.2f} ± {np.std(shares, ddof=1):.2f}" in table
    assert "trained head: bias-conflicting" in table
    assert "refitted probe: bias-aligned" in table
    assert "after the last epoch" in table
    assert "validation" not in table


def test_accuracy_is_in_percent_beside_chance_and_the_refitted_baselines(classes: Path) -> None:
    text = part(classes, "T", "Accuracy by head")
    share = 100 * np.mean([values(classes, f"fairkl_released{n}")["accuracy"] for n in (0, 1)])
    assert f"ε-SupInfoNCE + FairKL, released: accuracy {share:.1f} % (95 % interval" in text
    assert re.search(r"difference \+\d\d\.\d points", text)
    assert "chance 33.3 %" in text
    pixels = values(classes, "ce0")["baselines"]["pixels"]["accuracy"]
    assert f"pixels {100 * pixels:.1f} %" in text


def test_figures_of_a_validation_part_are_called_no_results(tmp_path: Path) -> None:
    run = write_classes_run(tmp_path / "a", "ce", part="validation")
    assert "they are not results" in Words(build_report([run], tmp_path / "r.html", "T")).text


def test_distances_before_and_after_are_drawn_for_both_kinds_of_pairs(classes: Path) -> None:
    text = part(classes, "Distances of pairs", "by epoch")
    actual = values(classes, "ce0")["distances"]
    for pairs, words in (("positive", "same class"), ("negative", "different classes")):
        for moment in ("before", "after"):
            aligned, conflicting = (
                actual[moment][f"{pairs}_{side}"]["mean"] for side in ("aligned", "conflicting")
            )
            message = (
                rf"{words}, {moment} [\d.]* distance of two images {aligned:.2f} {conflicting:.2f}"
            )
            assert re.search(message, text)
    assert TOLD_GROUPS == GROUPS


def test_a_histogram_is_an_outline_of_shares() -> None:
    line = steps((0.0, 0.5, 1.0), (3.0, 1.0), "blue")
    assert list(zip(line.x, line.y)) == [
        (0.0, 0.0),
        (0.0, 0.75),
        (0.5, 0.75),
        (0.5, 0.25),
        (1.0, 0.25),
        (1.0, 0.0),
    ]


def test_natural_images_have_neither_bias_columns_nor_distances(tmp_path: Path) -> None:
    run = write_classes_run(tmp_path / "a", "simclr", distances=None, deployed_head="refitted")
    path = run / "evaluation.json"
    actual = json.loads(path.read_text())
    for figures in (actual, actual["probe"]):
        for name in ("aligned", "conflicting", "unbiased"):
            del figures[f"accuracy_{name}"]
    path.write_text(json.dumps(actual))
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "Distances of pairs" not in text
    assert "trained head:" not in text
    assert "bias" not in text


def test_a_diagnosis_is_told_inside_and_outside_and_site_by_site(cases: Path) -> None:
    text = part(cases, "Inside and outside the sites", "by epoch")
    means = [
        np.mean([values(cases, f"y_aware{n}")[f"auc_{name}"] for n in (0, 1)])
        for name in ("internal", "external")
    ]
    for mean in means:
        assert f"{mean:.2f} (" in text
    rows = [values(cases, f"scratch{n}")["leave_site_out"]["sites"][2] for n in (0, 1)]
    assert f"site 2 ({rows[0]['subjects']} subjects, {rows[0]['cases']} cases)" in text
    assert f"{np.mean([row['auc'] for row in rows]):.3f}" in text


def test_a_fine_tuned_run_has_no_leave_site_out_table(tmp_path: Path) -> None:
    run = write_cases_run(tmp_path / "a", "y_aware", deployed_head="trained", leave_site_out=None)
    text = Words(build_report([run], tmp_path / "r.html", "T")).text
    assert "Not made: the encoders were fine-tuned on these sites" in text
    assert "A probe on the fine-tuned features, external: y-aware" in text


@pytest.mark.parametrize("kind", ["ages", "classes", "cases"])
def test_every_kind_of_page_fetches_nothing_and_names_no_other_kind(
    kind: str, request: pytest.FixtureRequest
) -> None:
    report = request.getfixturevalue(kind)
    words, html = Words(report), report.read_text()
    assert not {"script", "link", "iframe", "object", "embed"} & set(words.tags)
    assert "http" not in html.replace("http-equiv", "")
    assert all(address.startswith("data:image/png;base64,") for address in words.addresses)
    assert "transformation" not in words.text
    assert "nan" not in html.lower().split()
    assert not re.search(r'="[^"]*nan', html)


def test_runs_judged_by_different_figures_do_not_share_a_page(tmp_path: Path) -> None:
    runs = [write_age_run(tmp_path / "a", "y_aware"), write_run(tmp_path / "b", "random")]
    with pytest.raises(InputError, match=r"must be judged by public-validation Lc as .* got AUC"):
        build_report(runs, tmp_path / "r.html", "T")


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ({"data": "0a"}, {"data": "1b"}, r"data 0a, test part\), got data 1b, test part"),
        ({}, {"data": "1b"}, r"data not recorded, test part\), got data 1b, test part"),
        ({"data": ["0a", "1b"]}, {"data": ["0a"]}, r"\['0a', '1b'\].* got data \['0a'\]"),
    ],
)
def test_runs_of_different_data_do_not_share_a_page(
    tmp_path: Path, first: Any, second: Any, message: str
) -> None:
    runs = [
        write_classes_run(tmp_path / str(seed), "ce", seed, settings=settings)
        for seed, settings in enumerate((first, second))
    ]
    rule = r"1/evaluation.json: must be evaluated on the data that .*/0 is \(.*" + message
    with pytest.raises(InputError, match=rule) as caught:
        build_report(runs, tmp_path / "r.html", "T")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r.html").exists()


def test_a_validation_part_and_a_test_part_do_not_share_a_page(tmp_path: Path) -> None:
    runs = [
        write_classes_run(tmp_path / part, "ce", seed, part=part)
        for seed, part in enumerate(("validation", "test"))
    ]
    with pytest.raises(InputError, match=r"not recorded, validation part\), got .* test part"):
        build_report(runs, tmp_path / "r.html", "T")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "other"}, "kind must be one of linear, challenge, accuracy, .*, got"),
        ({"bacc_internal": 6.6}, r"bacc_internal must be a number in \[0, 1\], got 6.6"),
        (
            {"interval": {"level": 0.95, "method": "b", "lc": [1]}},
            "interval.lc must be a list of 2",
        ),
        ({"bacc_age_floor": None}, "bacc_age_floor must be a number"),
    ],
)
def test_a_spoilt_evaluation_is_one_line(tmp_path: Path, change: Any, message: str) -> None:
    run = write_age_run(tmp_path / "a", "y_aware", **change)
    with pytest.raises(InputError, match=f"evaluation.json: {message}") as caught:
        build_report([run], tmp_path / "r.html", "T")
    assert "\n" not in str(caught.value)


def test_scores_of_other_lengths_are_refused(tmp_path: Path) -> None:
    run = write_age_run(tmp_path / "a", "y_aware")
    np.savez(run / "scores.npz", age=np.zeros(3), predicted_age=np.zeros(2))
    with pytest.raises(InputError, match=r"scores\.npz: must hold an array 'predicted_age' of one"):
        build_report([run], tmp_path / "r.html", "T")


def test_the_command_line_prints_the_figure_of_the_kind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_classes_run(tmp_path / "a", "ce", accuracy=0.98765)
    assert main([str(run), "--output", str(tmp_path / "r.html")]) == 0
    assert "Cross entropy: accuracy 98.77 % (95 % interval" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "settings", "name"),
    [
        ("byol", {"strategy": "byol", "title": "BYOL"}, "BYOL"),
        ("byol_alexnet_2", {"strategy": "byol", "title": "BYOL"}, "BYOL (alexnet 2)"),
        ("mine", {"strategy": "byol", "title": "BYOL"}, "mine"),
        ("mine", {"strategy": "mine", "title": ""}, "mine"),
        ("mine", {}, "mine"),
    ],
)
def test_a_strategy_is_called_by_its_title_and_what_differs_beside_it(
    key: str, settings: dict[str, str], name: str
) -> None:
    assert strategy_name(key, settings) == name
