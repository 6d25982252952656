"""A proposal is called better than its set only where the paired interval says so."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
LABEL = np.arange(40) % 2


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    loaded = importlib.import_module("audit_proposal")
    monkeypatch.setattr(loaded, "DRAWS", 20)
    return loaded


def write(folder: Path, score: np.ndarray, auc: float) -> None:
    folder.mkdir()
    patient = (np.arange(40) // 2).astype(str)
    np.savez(folder / "scores.npz", score=score, label=LABEL, patient=patient, fold=LABEL * 0)
    baselines = {name: {"auc_mean": 0.5} for name in ("pixels", "untrained")}
    told = {"auc_mean": auc, "transform": {"lesion_kept": 0.1}, "baselines": baselines}
    (folder / "evaluation.json").write_text(json.dumps(told))


@pytest.mark.parametrize(
    ("proposed", "auc", "word"),
    [(LABEL, 1.0, "better"), (1 - LABEL, 0.0, "worse"), (LABEL * 0, 0.5, "no difference shown")],
)
def test_the_difference_is_paired_by_patient(
    load: ModuleType, tmp_path: Path, proposed: np.ndarray, auc: float, word: str
) -> None:
    for seed in (0, 1):
        write(tmp_path / f"random_seed{seed}", LABEL * 0.0, 0.5)
        write(tmp_path / f"random_proposed_seed{seed}", proposed * 1.0, auc)
    found = load.compared(tmp_path, "random", [0, 1])["difference"]
    assert found["seeds"] == [auc - 0.5] * 2
    assert found["interval"] == [auc - 0.5] * 2
    assert load.in_a_word(found["interval"]) == word
