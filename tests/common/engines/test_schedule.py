"""Optimisers and learning-rate schedules, written as a bundle writes them."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser

from common.checks import InputError
from common.engines import ContrastiveTrainer, PhaseOptimizers
from tests.tiny import conv_method, written

SCHEDULES: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2, "gamma": 0.9},
    "MultiStepLR": {"milestones": [2, 3], "gamma": 0.1},
    "CosineAnnealingLR": {"T_max": 4},
}
RATES = {
    "StepLR": [0.3, 0.3, 0.27, 0.27],
    "MultiStepLR": [0.3, 0.3, 0.03, 0.003],
    "CosineAnnealingLR": [0.15 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)],
}


def config(folder: Path, schedule: str, epochs: int, resume: bool, seed: int) -> dict[str, Any]:
    """What a bundle's train.json says of optimisers, schedule and checkpoint."""
    adam = {"_target_": "torch.optim.Adam", "_mode_": "callable", "weight_decay": 0.2}
    sgd = {"_target_": "torch.optim.SGD", "_mode_": "callable", "momentum": 0.9}
    handler = {"_target_": "LrScheduleHandler", "lr_scheduler": "@schedule", "print_lr": False}
    made = {
        "_target_": f"torch.optim.lr_scheduler.{schedule}",
        "optimizer": "$@optimizers['encoder']",
        **SCHEDULES[schedule],
    }
    optimizer = {"encoder": adam, "head": sgd}
    return written(folder, epochs, resume, seed, optimizer, [handler], schedule=made)


def train(
    folder: Path, schedule: str, epochs: int = 4, resume: bool = False, seed: int = 0
) -> tuple[dict[str, Any], list[float], PhaseOptimizers]:
    """State of everything after training, the encoder's rate in each epoch, the optimisers."""
    parser = ConfigParser(config(folder, schedule, epochs, resume, seed))
    engine: ContrastiveTrainer = parser.get_parsed_content("trainer")
    rates: list[float] = []
    encoder = engine.optimizers["encoder"]
    engine.add_event_handler(
        Events.EPOCH_STARTED, lambda: rates.append(encoder.param_groups[0]["lr"])
    )
    engine.run()
    state = {"network": engine.network.state_dict(), "optimizers": engine.optimizers.state_dict()}
    state["schedule"] = parser.get_parsed_content("schedule").state_dict()
    return state, rates, engine.optimizers


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_encoder_follows_the_schedule_and_the_head_keeps_its_rate(
    schedule: str, tmp_path: Path
) -> None:
    _, rates, optimizers = train(tmp_path, schedule)
    assert rates == pytest.approx(RATES[schedule], rel=1e-12)
    assert optimizers["head"].param_groups[0]["lr"] == 0.1


def test_each_phase_has_the_optimizer_the_configuration_names(tmp_path: Path) -> None:
    *_, optimizers = train(tmp_path, "StepLR", epochs=1)
    kinds = {name: type(optimizers[name]) for name in optimizers}
    assert kinds == {"encoder": torch.optim.Adam, "head": torch.optim.SGD}
    groups = {name: optimizers[name].param_groups[0] for name in optimizers}
    assert {name: group["weight_decay"] for name, group in groups.items()} == {
        "encoder": 0.2,
        "head": 0,
    }
    assert groups["head"]["momentum"] == 0.9


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_resumed_schedule_goes_on_to_the_bit(schedule: str, tmp_path: Path) -> None:
    whole, rates, _ = train(tmp_path / "whole", schedule)
    train(tmp_path / "parts", schedule, epochs=2)
    resumed, later, _ = train(tmp_path / "parts", schedule, resume=True, seed=1)
    assert later[-2:] == rates[2:]
    torch.testing.assert_close(resumed["network"], whole["network"], rtol=0, atol=0)
    torch.testing.assert_close(resumed["optimizers"], whole["optimizers"], rtol=0, atol=0)
    assert resumed["schedule"] == whole["schedule"]


@pytest.mark.parametrize("named", [["encoder"], ["encoder", "head", "heads"]])
def test_optimizers_must_name_the_phases(named: list[str]) -> None:
    makers = dict.fromkeys(named, torch.optim.SGD)
    with pytest.raises(
        InputError, match=r"optimizer must name the phases .* \['encoder', 'head'\]"
    ):
        PhaseOptimizers(conv_method("contrastive"), {"encoder": 1.0, "head": 1.0}, makers)
