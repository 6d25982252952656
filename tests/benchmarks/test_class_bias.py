"""The table of opposite classes holds the figures of the analysis, and of noise."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from common.evaluation.class_bias import class_bias
from tests.common.evaluation.test_class_bias import sweep

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loaded = importlib.import_module("class_bias")
    monkeypatch.setattr(loaded, "DRAWS", 5)
    return loaded


def test_a_row_holds_the_figures_of_its_method_in_per_cent(module: ModuleType) -> None:
    (one,) = class_bias({"s": sweep(strategies=("byol_quarter",))}, draws=5).series
    row = module.row_of(one)
    assert (row["method"], row["pairs"], row["tested"], row["of_class"]) == ("BYOL", 1, 3, "cat")
    assert row["largest_span"] == pytest.approx(30)
    assert row["share"] == pytest.approx(66.7)
    table = module.tables([row], module.noise())
    assert "33.3 (1 of 3)" in table


def test_in_noise_of_a_hundred_classes_nearly_every_one_has_an_opposite(module: ModuleType) -> None:
    by_size = {(row["values"], row["classes"]): row["share"] for row in module.noise()}
    assert by_size[10, 100] > 90 > 60 > by_size[10, 10]
