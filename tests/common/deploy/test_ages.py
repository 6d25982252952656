"""Predicted ages: the metric that watches a training, and what inference writes."""

import json
from pathlib import Path

import numpy as np
import torch

from common.deploy import load
from common.metrics import ProbeMAE
from tests.models import BRAINS, deployed
from tests.synthetic import write_nifti


def aged(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features that tell age but for noise, in the order of age."""
    generator = torch.Generator().manual_seed(0)
    age = torch.linspace(20, 80, count)
    return torch.stack([age, torch.randn(count, generator=generator)], dim=1), age


def test_an_age_that_the_features_hold_is_read() -> None:
    metric, (h, age) = ProbeMAE(), aged(30)
    metric.reset()
    for start in range(0, 30, 8):
        metric.update((h[start : start + 8], age[start : start + 8]))
    assert metric.compute() < 0.1
    metric.reset()
    metric.update((h[:, 1:], age))
    assert metric.compute() > 10  # noise alone: about a quarter of the range


def test_subjects_without_an_age_are_left_out() -> None:
    metric, (h, age) = ProbeMAE(), aged(24)
    metric.reset()
    metric.update((h, age))
    whole = metric.compute()
    metric.update((torch.full((6, 2), 1e6), torch.full((6,), torch.nan)))
    assert metric.compute() == whole
    metric.reset()
    metric.update((h[:9], age[:9]))
    assert np.isnan(metric.compute())


def test_the_age_gap_stands_where_the_age_is_known(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).random((16, 16, 16), np.float32)
    for name in ("abc", "d"):
        write_nifti(tmp_path / f"{name}.nii", volume)
    listed = [{"image": "abc.nii", "name": "abc", "age": 45.5}, {"image": "d.nii", "name": "d"}]
    (tmp_path / "list.json").write_text(json.dumps({"test": listed}))
    predictor = load(BRAINS, deployed(tmp_path / "models", BRAINS))
    first, second = predictor.predict(tmp_path / "list.json")
    predicted = first.values["predicted_age"]
    gap = {"age": 45.5, "age_gap": predicted - 45.5}
    assert first.row() == {"file": "abc", "slice": -1, "predicted_age": predicted, **gap}
    assert second.row()["age"] == second.row()["age_gap"] == ""
