"""Predicted ages: the metric that watches a training, and what inference writes."""

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from torch import nn

from common.deploy import SaveAges
from common.metrics import ProbeMAE
from common.networks import ImageClassifier


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


@pytest.fixture
def written(tmp_path: Path) -> list[list[str]]:
    network = ImageClassifier(nn.Flatten(), 2)

    def step(_: Engine, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        network(torch.stack([entry["image"] for entry in batch]))
        return [{"pred": torch.tensor([40.0 + len(entry["name"])])} for entry in batch]

    engine = Engine(step)
    SaveAges(tmp_path, network).attach(engine)
    image = torch.zeros(1, 2)
    known = {"image": image, "name": "abc", "age": torch.tensor(45.5)}
    engine.run([[known, {"image": image, "name": "d"}]])
    with np.load(tmp_path / "embeddings.npz") as embeddings:
        assert embeddings["h"].shape == (2, 2)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_the_age_gap_stands_where_the_age_is_known(written: list[list[str]]) -> None:
    assert written[0] == ["file", "predicted_age", "age", "age_gap"]
    assert written[1] == ["abc", "43.00", "45.50", "-2.50"]
    assert written[2] == ["d", "41.00", "", ""]


@pytest.mark.bad_input("privacy")
def test_names_in_predictions_start_no_formula_and_hold_no_control(tmp_path: Path) -> None:
    network = ImageClassifier(nn.Flatten(), 2)
    handler = SaveAges(tmp_path, network)
    handler._h, handler._probabilities, handler._ages = [torch.zeros(1, 2)], [[1.0]], [math.nan]
    output = SimpleNamespace(
        batch=[{"name": "=cmd|' /C calc'!A0\u202e\n\udcff", "image": 0}],
        output=[{"pred": torch.ones(1)}],
    )
    handler._add(SimpleNamespace(state=output))  # type: ignore[arg-type]
    handler.dataset = SimpleNamespace(skipped=[("-1\x1b.png", "-1\x1b.png: must be whole")])
    handler._probabilities, handler._ages = [[1.0]], [math.nan]
    handler._write(Engine(lambda *_: None))
    for name in ("predictions.csv", "skipped.csv"):
        with (tmp_path / name).open(newline="", encoding="utf-8") as file:
            first = list(csv.reader(file))[1][0]
        assert first.startswith("'")
        assert first.isprintable()
