"""Lambda that a network M chooses, and what views cost: the right numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.audit import audit
from common.audit.images import from_arrays
from common.audit.sets import TransformationSet, ViewKind
from common.report.audit.result import SetAudit
from common.transforms import Composition

BRIGHT = np.array([0.0, 0.25, 0.5, 0.75] * 2, np.float32)


class Chooser(nn.Module):
    """Blur by the brightness of the image, always the same noise."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.flatten(1).mean(dim=1), torch.full((len(x),), 0.3)], dim=1)


def looked_at() -> SetAudit:
    x = np.broadcast_to(BRIGHT[:, None, None, None], (8, 1, 8, 8)).copy()
    kind = ViewKind(
        name="views",
        policy=Chooser(),
        transform=Composition(["blur", "noise"]),
        chooser="learned",
    )
    return audit(from_arrays(x), [TransformationSet(name="M", kinds=(kind,))]).sets[0]


def test_lambda_of_m_has_its_mean_its_spread_and_its_counts() -> None:
    (found,) = looked_at().learned
    assert (found.images, found.names) == (8, ("blur", "noise"))
    assert found.mean == pytest.approx((0.375, 0.3))
    assert found.std == pytest.approx((np.std([0, 0.25, 0.5, 0.75]), 0), abs=1e-6)
    counts = np.array(found.counts)
    assert counts[0, [0, 5, 10, 15]].tolist() == [2, 2, 2, 2]
    assert counts.sum(axis=1).tolist() == [8, 8]


def test_views_cost_the_seconds_of_the_clock_times_1000_over_their_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(perf_counter=iter([10.0, 10.4]).__next__)
    monkeypatch.setattr("common.audit.study.time", clock)
    cost = looked_at().cost
    assert (cost.views, cost.device, cost.threads) == (8, "cpu", torch.get_num_threads())
    assert cost.seconds_per_1000_views == pytest.approx(50)
