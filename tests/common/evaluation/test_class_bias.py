"""The analysis of a sweep: planted curves, controls, what is left out, the page of a result."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from common.checks import InputError
from common.evaluation.class_bias import class_bias
from common.metrics.class_properties import PROPERTIES
from common.report.class_bias import ClassBias, in_words, write_analysis
from common.report.schema import from_json, to_json

pytest.importorskip("statsmodels")
VALUES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
CURVES: dict[str, Any] = {  # of the share of the range that is gone through
    "cat": lambda x: 0.5 + 0.3 * x,
    "dog": lambda x: 0.8 - 0.3 * x**2,
    "ship": lambda x: 0.6 + 0.1 * (x - 0.5) ** 2,
}


def sweep(seeds: int = 2, strategies: tuple[str, ...] = ("a",)) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for strategy in strategies:
        for value in VALUES:
            for seed in range(seeds):
                away = 0.002 * (seed - 0.5)
                of = {name: float(f(2 * value)) + away for name, f in CURVES.items()}
                run = (value, strategy, seed)
                rows.append((*run, "accuracy", "", np.mean([*of.values()])))
                rows += [(*run, "recall", name, share) for name, share in of.items()]
                pets = (of["cat"] + of["dog"]) / 2
                rows.append((*run, "accuracy_by_superclass", "pets", pets))
    return pd.DataFrame(rows, columns=["hue", "strategy", "seed", "measure", "class", "value"])


def test_means_spreads_pairs_and_behaviours_are_those_that_were_planted() -> None:
    (one,) = class_bias({"s": sweep()}, draws=20).series
    assert (one.dial, one.values, one.seeds, one.runs) == ("hue", VALUES, 2, 12)
    cat, dog, _ = one.classes
    np.testing.assert_allclose(cat.mean, [CURVES["cat"](2 * value) for value in VALUES])
    np.testing.assert_allclose(dog.std, 0.002 / np.sqrt(2))
    assert [(pair.first, pair.second) for pair in one.opposites.pairs] == [("cat", "dog")]
    assert one.opposites.share == pytest.approx(2 / 3)
    assert one.opposites.holm == pytest.approx(2 / 3)
    assert [one.behaviour[name].name for name in CURVES] == ["ascending", "descending", "random"]
    assert one.behaviour["cat"].slope == pytest.approx(0.6)
    (pets,) = one.groups["superclass"]
    np.testing.assert_allclose(pets.mean, [np.mean([c, d]) for c, d in zip(cat.mean, dog.mean)])


def test_the_control_says_how_many_draws_have_as_many_opposites() -> None:
    (one,) = class_bias({"s": sweep()}, draws=40).series
    chance = one.opposites.shuffled_pairs
    assert chance.p_value >= 1 / 41
    assert chance.low <= chance.mean <= chance.high < 1 / 3 + 1e-9
    assert one.opposites.walks.mean > one.opposites.shuffled.mean


def test_each_strategy_other_dial_and_sweep_is_a_series() -> None:
    two = sweep(strategies=("a", "b")).assign(blur="on")
    two = two[["hue", "blur", "strategy", "seed", "measure", "class", "value"]]
    found = class_bias({"one": sweep(), "two": two}, draws=2)
    assert [each.name for each in found.series] == ["a, one", "a, blur on, two", "b, blur on, two"]


def test_a_value_at_which_a_class_has_no_figure_is_left_out_and_named() -> None:
    table = sweep()
    table = table[~((table["hue"] == 0.2) & (table["class"] == "dog"))]
    (one,) = class_bias({"s": table}, draws=2).series
    assert one.left_out == (0.2,)
    assert len(one.values) == len(one.classes[0].mean) == 5


def test_properties_that_follow_the_behaviour_are_told_from_those_that_do_not(
    tmp_path: Path,
) -> None:
    rng, rows = np.random.default_rng(0), []
    for value in VALUES:
        for k in range(30):
            share = 0.5 + (0.4 * value if k % 2 else -0.4 * value) + 0.001 * rng.normal()
            rows.append((value, "a", 0, "recall", f"c{k}", share))
    table = pd.DataFrame(rows, columns=sweep().columns)
    properties = {
        f"c{k}": {name: rng.normal(size=len(of)) for name, of in PROPERTIES.items()}
        | {"texture": k % 2 + 0.1 * rng.normal(size=4)}
        for k in range(30)
    }
    found = class_bias({"s": table}, properties=properties, draws=2)
    tests = {test.name: test for test in found.series[0].properties if not test.of}
    assert list(tests) == list(PROPERTIES)
    assert tests["texture"].adjusted < 1e-6 < 0.05 < tests["Fourier"].p_value
    page = write_analysis(found, tmp_path / "page.html", "T").read_text()
    assert "What classes look like" in page


def test_the_page_and_the_file_hold_the_figures(tmp_path: Path) -> None:
    found = class_bias({"s": sweep(strategies=("a", "b"))}, draws=5)
    page = write_analysis(found, tmp_path / "page.html", "Hue").read_text()
    for words in ("Recall of every class", "1 of 3", "67 %", "pets", "in all 2", "3 of 3"):
        assert words in page
    assert "http" not in page.replace("http-equiv", "")
    lines = in_words(found)
    assert lines[0].startswith("hue from 0 to 0.5: the mean over all images moves by at most")
    assert "1 of 3 pairs of classes are opposite" in lines[1]
    assert to_json(from_json(ClassBias, to_json(found), tmp_path)) == to_json(found)


@pytest.mark.bad_input("sweep")
@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (lambda t: t[t["hue"] < 0.2], {}, "^s: must hold a dial with at least 3 numbers"),
        (lambda t: t[t["class"] == ""], {}, "^s: must hold a measure of classes, got none"),
        (lambda t: t, {"measure": "iou"}, "^s: must hold a measure of classes called iou, got rec"),
        (lambda t: t, {"properties": {"cat": {}}}, "^--data: must hold images of every class"),
    ],
)
def test_a_sweep_with_nothing_to_analyse_is_refused(
    change: Any, arguments: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        class_bias({"s": change(sweep())}, draws=2, **arguments)
