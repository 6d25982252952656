"""A bundle's training that is killed, once by itself and once as two processes."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def killed_runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("killed_runs")


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_the_uninterrupted_one(
    killed_runs: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(killed_runs, "LATEST", 0.3)
    result = killed_runs.measure(tmp_path, kills=2, epochs=6, seed=0)
    assert result["one process"]["difference"] == 0
    assert len(result["one process"]["steps saved"]) == 1
    assert result["two processes, then one"]["difference"] < 1e-6
    assert result["two processes, then one"]["steps saved"][0] > 0
