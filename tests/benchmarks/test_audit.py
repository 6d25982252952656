"""The agreement of an audit with measured probes is Kendall's tau within data sets."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("audit")


def test_agreement_counts_pairs_of_one_data_set_only(load: ModuleType) -> None:
    told = {"a": [(0.6, 0.7), (0.7, 0.8), (0.8, 0.75)], "b": [(0.1, 0.9), (0.2, 0.1)]}
    rows = [
        {"images": name, "label": label, "probe": probe}
        for name, pairs in told.items()
        for label, probe in pairs
    ]
    found = load.agreement(rows, "label")
    assert (found["pairs"], found["tau"]) == (4, 0.0)  # two agree, two do not
    assert found["of"] == pytest.approx({"a": 1 / 3, "b": -1.0})
    assert found["interval"] == pytest.approx([-1.0, 1 / 3])
