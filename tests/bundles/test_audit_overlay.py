"""``audit.json`` after a training: a run's own policy and encoder are audited, its result stays."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bundles.conftest import run
from tests.commands import ROOT

BUNDLE = ROOT / "bundles" / "brain_mri_learned_transforms"


@pytest.mark.slow
def test_a_trained_run_is_audited_beside_its_evaluation(workflow: Any, tmp_path: Path) -> None:
    run(workflow(BUNDLE, "train", tmp_path))
    run(workflow(BUNDLE, "train+audit", tmp_path))
    (written,) = (tmp_path / "eval" / "audits").glob("*/evaluation.json")
    result = json.loads(written.read_text())
    (one,) = result["audit"]["sets"]
    assert one["members"][0]["policy"] == "learned"
    assert result["audit"]["measurement"]["encoder"] == "trained for 1 epoch"
    assert result["told"] == one["label"]["transformed"]["value"]
    assert "λ" in (tmp_path / "eval" / "audits" / "report.html").read_text()
    assert not list((tmp_path / "eval").glob("*/evaluation.json")), "the run's own place is free"
    assert not (tmp_path / "models").exists(), "nothing is deployed"
