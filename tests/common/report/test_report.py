import errno
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.report import build_report, outcome, report_folder
from common.report.__main__ import main
from common.report.words import describe, parameters
from common.transforms import Composition, rotate
from tests.common.report.real_runs import AUCS, NAMES, TITLES, write_run, write_study
from tests.common.report.words import Words


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    return report_folder(folder, "Brain study")


def report(folder: Path, *runs: Path) -> str:
    return Words(build_report(runs, folder / "out" / "report.html", "T")).text


def test_the_verdict_compares_learned_with_random_at_equal_supervision(tmp_path: Path) -> None:
    interval = {"level": 0.95, "low": 0.881, "high": 0.93, "method": "bootstrap"}
    learned = {"auc_mean": 0.914, "interval": interval}
    random = {"auc_mean": 0.861, "interval": interval | {"low": 0.84, "high": 0.87}}
    text = report(
        tmp_path,
        write_run(tmp_path / "a", "self_supervised_supervised", **learned),
        write_run(tmp_path / "b", "random_supervised", **random),
        write_run(tmp_path / "c", "random"),
    )
    assert (
        "Learned + supervision: AUC 0.91 (95 % interval 0.88–0.93), Random + supervision "
        "0.86 (95 % interval 0.84–0.87), difference +0.05."
    ) in text
    assert "The two intervals, over patients, do not overlap" in text


def seeds(folder: Path, strategy: str, *figures: float) -> list[Path]:
    return [
        write_run(folder / f"{strategy}{seed}", strategy, seed=seed, auc_mean=figure)
        for seed, figure in enumerate(figures)
    ]


ORDERS = {  # figures of one strategy, of the other, what is said, and what not
    "one seed": ((0.99,), (0.6,), "with 1 seed of both, nothing is said", "is better in"),
    "two": ((0.99, 0.98), (0.6, 0.5), "with 2 seeds of both, nothing is said", "is better in"),
    "agree": ((0.9, 0.8, 0.9), (0.7, 0.7, 0.7), "is better in 3 of the 3 seeds of both.", "agree"),
    "differ": ((0.9, 0.8, 0.6), (0.7, 0.7, 0.7), "2 of the 3 seeds of both: the seeds do not", "."),
}


@pytest.mark.parametrize(("first", "second", "said", "unsaid"), ORDERS.values(), ids=ORDERS)
def test_an_order_of_two_strategies_needs_three_seeds_and_counts_them(
    tmp_path: Path, first: Any, second: Any, said: str, unsaid: str
) -> None:
    learned = seeds(tmp_path, "self_supervised_supervised", *first)
    text = report(tmp_path, *learned, *seeds(tmp_path, "random_supervised", *second))
    assert said in text
    assert "would hardly" not in text
    assert unsaid not in text or unsaid == "."


def test_one_strategy_is_described_and_compared_with_the_baselines(tmp_path: Path) -> None:
    text = report(tmp_path, write_run(tmp_path / "a", "self_supervised", auc_mean=0.81))
    assert "Learned: AUC 0.81 (95 % interval" in text
    assert "Only this strategy was evaluated" in text
    assert "on the pixels themselves (AUC 0.69) and on an untrained encoder (AUC 0.66)" in text


def test_a_baseline_as_good_as_the_strategy_is_said_first_thing(tmp_path: Path) -> None:
    baselines = {"pixels": {"auc_mean": 0.93, "auc_std": 0.01}}
    text = report(tmp_path, write_run(tmp_path / "a", "random", baselines=baselines))
    message = "Beware: a linear classifier on the pixels themselves (AUC 0.93) does about as well"
    assert 0 < text.index(message) < text.index("AUC by strategy")


@pytest.mark.parametrize(("low", "said"), [(0.49, 1), (0.5, 1), (0.51, 0)])
def test_a_figure_that_guessing_may_reach_is_warned_of(
    low: float, said: int, tmp_path: Path
) -> None:
    interval = {"level": 0.95, "method": "bootstrap", "low": low, "high": 0.7}
    write_run(tmp_path / "run", "random", auc_mean=0.6, interval=interval, baselines={})
    figure, *warnings = outcome(tmp_path)
    assert figure == f"AUC 0.60 (95 % interval {low:.2f}–0.70)."
    assert [w[:35] for w in warnings] == ["Beware: guessing gives AUC 0.50, an"] * said


def test_strategies_stand_in_the_papers_order_with_means_over_seeds(study: Path) -> None:
    text = Words(study).text
    rows = text[text.index("AUC by strategy") : text.index("AUC by epoch")]
    places = [rows.index(TITLES[strategy]) for strategy in AUCS]
    assert places == sorted(places)
    values = [
        json.loads((study.parent / f"random_seed{seed}/evaluation.json").read_text())
        for seed in range(3)
    ]
    mean = np.mean([value["auc_mean"] for value in values])
    low, high = (np.mean([value["interval"][end] for value in values]) for end in ("low", "high"))
    assert f"Random {mean:.2f} ({low:.2f}–{high:.2f}), 3 seeds" in rows


@pytest.mark.parametrize(("auc", "told"), [(0.9, "holds here"), (0.7, "does not hold here")])
def test_the_page_says_whether_the_papers_order_holds(
    tmp_path: Path, auc: float, told: str
) -> None:
    learned = seeds(tmp_path, "self_supervised_supervised", *[auc] * 3)
    assert told in report(tmp_path, *learned, *(random := seeds(tmp_path, "random", 0.8, 0.8, 0.8)))
    assert told not in report(tmp_path, learned[0], random[0])


def test_a_policy_that_ignores_the_image_is_called_practically_constant(study: Path) -> None:
    text = Words(study).text
    learned = json.loads((study.parent / "self_supervised_seed0/evaluation.json").read_text())
    assert max(learned["transform"]["lam_std_over_images"]) < 0.02
    assert "Learned: practically the same transformation for every image." in text
    assert "Random: practically" not in text


def test_the_share_of_lesions_kept_is_the_mean_over_seeds(study: Path) -> None:
    text = Words(study).text
    section = text[text.index("Does the lesion survive") : text.index("Original and transformed")]
    runs = [study.parent / f"random_seed{seed}/evaluation.json" for seed in range(3)]
    kept = [json.loads(run.read_text())["transform"]["lesion_kept"] for run in runs]
    assert f"Random {100 * np.mean(kept):.0f} % of 12 images" in section


def test_lambda_is_told_in_words_and_what_was_not_applied_is_left_out() -> None:
    nan = math.nan
    lam = [0.4, nan, 0.4, 0.6, 0.12, nan, 0.25]
    message = "blur 0.8 px, crop centre (0.4, 0.6), flip up–down 12 %, rotate 90°"
    assert describe(NAMES, lam, Composition().units) == message
    assert describe(NAMES, [nan] * 7) == "nothing applied"
    assert describe(["blur"], [0.4]) == "blur 0.40"  # a file that does not say the unit


def test_words_use_the_scales_of_the_transformations() -> None:
    wide = Composition(["blur"], settings={"blur": {"min_sigma": 1.0, "max_sigma": 3.0}})
    assert describe(wide.names, [0.5], wide.units) == "blur 2.0 px"
    assert describe(["shift_0"], [0.0], [("−4 px", "4 px")]) == "shift_0 −4.0 px"
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    quarter = rotate(x, torch.full((1, 1), 0.25, dtype=torch.float64))
    torch.testing.assert_close(quarter, torch.rot90(x, dims=(2, 3)))
    titles = [parameter.title for parameter in parameters(NAMES)]
    assert not set(titles) & {name for name in NAMES if "_" in name}


def test_every_parameter_of_a_3d_composition_has_a_title_of_its_own() -> None:
    titles = [parameter.title for parameter in parameters(Composition(spatial_dims=3).names)]
    assert len(set(titles)) == 11
    assert "crop centre, axis 2" in titles


def test_the_gallery_outlines_lesions_only_where_masks_exist(tmp_path: Path) -> None:
    with_masks = write_run(tmp_path / "a", "random")
    page = build_report([with_masks], tmp_path / "a.html", "T").read_text()
    assert page.count('class="lesion"') >= 4
    with np.load(with_masks / "gallery.npz") as archive:
        arrays = {key: archive[key] for key in archive.files if "mask" not in key}
    np.savez(with_masks / "gallery.npz", **arrays)
    page = build_report([with_masks], tmp_path / "b.html", "T").read_text()
    assert page.count("data:image/png;base64,") == 12
    assert 'class="lesion"' not in page


def test_the_page_fetches_nothing_and_runs_nothing(study: Path) -> None:
    words, page = Words(study), study.read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert not {"script", "link", "iframe", "object", "embed"} & set(words.tags)
    assert words.addresses
    assert all(address.startswith("data:image/png;base64,") for address in words.addresses)
    assert not re.search(r"@import|url\(", page)


def test_text_from_files_is_escaped_everywhere(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&"
    run = write_run(tmp_path / "a", evil, settings={evil: evil}, versions={evil: evil})
    values = json.loads((run / "evaluation.json").read_text()) | {"bundle": evil}
    values["transform"]["names"][0] = evil
    values["interval"]["method"] = evil
    values["baselines"] = {evil: {"auc_mean": 0.6}}
    (run / "evaluation.json").write_text(json.dumps(values))
    (run / "history.json").write_text(json.dumps({"epoch": [1], "terms": {evil: [0.5]}}))
    with np.load(run / "gallery.npz") as archive:
        arrays = dict(archive) | {"name": np.array([evil] * 6)}
    np.savez(run / "gallery.npz", **arrays)
    page = build_report([run], tmp_path / "r.html", evil)
    assert "<script" not in page.read_text()
    assert "script" not in Words(page).tags
    assert evil in Words(page).text


def test_the_same_runs_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    again = build_report(sorted(study.parent.glob("*_seed*")), tmp_path / "r.html", "Brain study")
    backwards = build_report(
        sorted(study.parent.glob("*_seed*"), reverse=True), tmp_path / "s.html", "Brain study"
    )
    assert again.read_bytes() == study.read_bytes() == backwards.read_bytes()


def test_history_gallery_and_transform_may_be_absent(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", "supervised_10", transform=None)
    (run / "history.json").unlink()
    (run / "gallery.npz").unlink()
    text = report(tmp_path, run)
    assert "No training history was kept." in text
    assert "No example images were kept." in text
    assert "No run recorded its transformations." in text


def test_a_dial_that_differs_is_listed_by_who_has_it(tmp_path: Path) -> None:
    runs = [
        write_run(
            tmp_path / f"{seed}{key}",
            key,
            seed,
            settings={
                "rate": rate,
                "size": 32,
                "run_suffix": "",
                "strategy": key,
                "title": TITLES[key],
            },
        )
        for key, seed, rate in (("random", 0, 1), ("random", 1, 1), ("base_simclr", 0, 2))
    ]
    text = report(tmp_path, *runs)
    assert "size 32" in text
    assert "run_suffix none" in text
    assert "rate 2Base SimCLR 1Random" in text


def test_a_training_of_one_epoch_is_a_number(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "random")
    history = {"epoch": [1], "terms": {"encoder/loss": [2.5], "loss": [2.5]}}
    (run / "history.json").write_text(json.dumps(history))
    text = Words(build_report([run], tmp_path / "report.html", "T")).text
    assert re.search(r"encoder: loss ?Random 2\.50 ?Only epoch 1, mean over seeds\.", text)


ERRORS = {
    "folder": (lambda run: run / "gone", "must be a run folder"),
    "file": (lambda run: (run / "evaluation.json").unlink(), "evaluation.json: must be a file"),
    "json": (lambda run: (run / "evaluation.json").write_text("{"), "must be a JSON file"),
    "list": (lambda run: (run / "evaluation.json").write_text("[]"), "must hold a JSON object"),
    "auc": (lambda run: rewrite(run, auc_mean=1.2), r"auc_mean must be a number in \[0, 1\]"),
    "nan": (lambda run: rewrite(run, auc_mean=math.nan), "auc_mean must be .* got NaN"),
    "key": (lambda run: rewrite(run, interval={}), "interval.level must be .* no such key"),
    "epoch": (lambda run: rewrite(run, epochs=[{}]), r"epochs\[0\].epoch must be an integer"),
    "npz": (lambda run: (run / "gallery.npz").write_text("x"), "gallery.npz: must be an npz file"),
    "pickle": (
        lambda run: np.savez(run / "gallery.npz", name=np.array([{}], dtype=object)),
        "without pickles",
    ),
    "shape": (
        lambda run: np.savez(run / "gallery.npz", **dict.fromkeys(ARRAYS, np.zeros((2, 3)))),
        r"image must have shape \(n, H, W\)",
    ),
    "history": (
        lambda run: (run / "history.json").write_text('{"epoch": [1], "terms": {"a": []}}'),
        "terms.a must be a list of 1 numbers",
    ),
}
ARRAYS = ("image", "transformed", "lam", "name")


def rewrite(run: Path, **changes: Any) -> None:
    path = run / "evaluation.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(("spoil", "told"), ERRORS.values(), ids=ERRORS)
def test_a_bad_run_is_one_line_and_leaves_the_old_report(
    tmp_path: Path, spoil: Any, told: str
) -> None:
    run, output = write_run(tmp_path / "a", "random"), tmp_path / "report.html"
    output.write_text("old")
    missing = spoil(run)
    with pytest.raises(InputError, match=told) as error:
        build_report([missing if isinstance(missing, Path) else run], output, "T")
    assert "\n" not in str(error.value)
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "report.html"]


def test_a_full_disk_leaves_the_old_report_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, output = write_run(tmp_path / "a", "random"), tmp_path / "report.html"
    output.write_text("old")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InputError, match=r"report\.html: .*No space left on device"):
        build_report([run], output, "T")
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "report.html"]


def test_two_runs_of_one_strategy_and_seed_are_refused(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, "random") for name in ("a", "b")]
    with pytest.raises(InputError, match="strategy and seed must differ"):
        build_report(runs, tmp_path / "r.html", "T")


def test_the_command_line_takes_runs_or_a_folder_of_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "runs" / "a", "random")
    run = write_run(tmp_path / "runs" / "b", "self_supervised")
    (tmp_path / "runs" / "empty").mkdir()
    one, both = tmp_path / "one.html", tmp_path / "both.html"
    assert main([str(run), "--output", str(one), "--title", "Only one"]) == 0
    assert main([str(tmp_path / "runs"), "--output", str(both)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("report:")] == [
        f"report: {one}",
        f"report: {both}",
    ]
    assert sum("AUC 0." in line for line in lines if "baseline" not in line) == 3
    assert [line for line in lines if line.startswith("baseline, pixels: AUC 0.")]
    assert "Only one" in Words(one).text
    assert "Random" not in Words(one).text
    assert "Random" in Words(both).text


def test_the_command_line_ends_with_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "evaluation.json" in message
