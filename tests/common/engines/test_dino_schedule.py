"""Schedules by the iteration, and DINO's optimiser, written as a bundle writes them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.bundle import ConfigParser
from torch import nn
from torch.optim import SGD

from common.checks import InputError
from common.engines import (
    ClippedAdamW,
    ContrastiveTrainer,
    CosineSchedule,
    ExponentialSchedule,
    LinearSchedule,
    PhaseOptimizers,
    StepSchedule,
)
from tests.oracles import dino as oracle
from tests.tiny import conv_method, written

EPOCHS, LENGTH = 5, 4


class Setting:
    """Something with a number to be set."""

    number = 0.0


def values(schedule: Any, epochs: int = EPOCHS, length: int = LENGTH) -> list[Any]:
    return [schedule.value(i, length, epochs) for i in range(epochs * length)]


@pytest.mark.parametrize("warmup", [0, 1, 2, 4])
@pytest.mark.parametrize("length", [1, 4])
def test_the_cosine_follows_its_warm_up_and_its_half_wave(warmup: int, length: int) -> None:
    schedule = CosineSchedule(Setting(), "number", 0.5, 1e-3, warmup)
    expected = oracle.cosine(0.5, 1e-3, EPOCHS, length, warmup)
    assert values(schedule, length=length) == pytest.approx(expected, rel=1e-12)
    assert len(expected) == EPOCHS * length


def test_a_warm_up_longer_than_the_run_ends_where_the_run_ends() -> None:
    schedule = CosineSchedule(Setting(), "number", 0.5, 1e-3, warmup_epochs=10)
    assert values(schedule, epochs=2) == pytest.approx([0.5 * i / 39 for i in range(8)])


def test_the_exponential_schedule_changes_by_one_factor_from_start_to_end() -> None:
    expected, value = [], 2.0
    for _ in range(EPOCHS * LENGTH):
        expected.append(value)
        value *= 0.005 ** (1 / 20)
    assert value == pytest.approx(0.01)
    actual = values(ExponentialSchedule(Setting(), "number", 2.0, 0.01))
    assert actual == pytest.approx(expected, rel=1e-12)
    assert values(ExponentialSchedule(Setting(), "number", 0.5, 0.5)) == [0.5] * 20


def test_the_linear_schedule_moves_by_epoch_and_then_stays() -> None:
    schedule = LinearSchedule(Setting(), "number", 0.04, 0.07, 3)
    by_epoch = [0.04, 0.055, 0.07, 0.07, 0.07]
    expected = [value for value in by_epoch for _ in range(LENGTH)]
    assert values(schedule) == pytest.approx(expected)
    assert values(LinearSchedule(Setting(), "number", 0.04, 0.07)) == [0.07] * 20


def test_the_step_schedule_has_one_value_first_and_another_then() -> None:
    assert values(StepSchedule(Setting(), "number", True, False, 1)) == [True] * 4 + [False] * 16


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: CosineSchedule(Setting(), "nummer", 1, 0),
            r"^CosineSchedule: attribute must be one of Setting, got 'nummer'\.$",
        ),
        (
            lambda: StepSchedule(SGD([nn.Parameter(torch.ones(1))], lr=1), "rate", 1, 0, 1),
            r"^StepSchedule: attribute must be one of SGD, got 'rate'\.$",
        ),
        (
            lambda: CosineSchedule(
                SGD([nn.Parameter(torch.ones(1))], lr=1), "lr", 1, 0, groups=[1]
            ),
            r"groups must be below 1, got \[1\]\.$",
        ),
        (lambda: CosineSchedule(Setting(), "number", 1, 0, -1), r"warmup_epochs must be at least"),
        (
            lambda: ExponentialSchedule(Setting(), "number", 1, 0),
            r"^ExponentialSchedule: start and end must be above 0, got 1 and 0\.$",
        ),
        (lambda: LinearSchedule(Setting(), "number", 1, 0, -1), r"epochs must be at least 0"),
        (lambda: StepSchedule(Setting(), "number", 1, 0, -1), r"epochs must be at least 0"),
        (lambda: ClippedAdamW([nn.Parameter(torch.ones(1))], clip=0), r"clip must be positive"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def config(folder: Path, epochs: int, resume: bool, seed: int) -> dict[str, Any]:
    """What a bundle's train.json says of optimisers, schedules and checkpoint."""
    cosine = {"_target_": "common.engines.CosineSchedule", "target": "$@optimizers['encoder']"}
    optimizer = {
        "encoder": {"_target_": "common.engines.ClippedAdamW", "_mode_": "callable", "clip": 0.1},
        "head": {"_target_": "torch.optim.SGD", "_mode_": "callable"},
    }
    handlers: list[dict[str, Any]] = [
        {**cosine, "attribute": "lr", "start": 0.3, "end": 1e-3, "warmup_epochs": 1},
        {**cosine, "attribute": "weight_decay", "start": 0.04, "end": 0.4, "groups": [0]},
    ]
    return written(folder, epochs, resume, seed, optimizer, handlers)


def train(
    folder: Path, stop: int | None = None, resume: bool = False, seed: int = 0
) -> tuple[dict[str, Any], list[tuple[float, float, float, float]]]:
    """State after training, and rate and decay of both groups in every iteration."""
    parser = ConfigParser(config(folder, 4, resume, seed))
    engine: ContrastiveTrainer = parser.get_parsed_content("trainer")
    observed: list[tuple[float, float, float, float]] = []

    def watch() -> None:
        decayed, rest = engine.optimizers["encoder"].param_groups
        observed.append((decayed["lr"], decayed["weight_decay"], rest["lr"], rest["weight_decay"]))
        if stop is not None and engine.state.iteration == stop:
            raise KeyboardInterrupt

    engine.add_event_handler(Events.ITERATION_COMPLETED, watch)
    if stop is None:
        engine.run()
    else:
        with pytest.raises(KeyboardInterrupt):
            engine.run()
    return {"network": engine.network.state_dict(), **engine.optimizers.state_dict()}, observed


def test_every_iteration_has_the_values_of_its_schedules(tmp_path: Path) -> None:
    _, observed = train(tmp_path)
    rates = oracle.cosine(0.3, 1e-3, 4, 2, warmup=1)
    decays = oracle.cosine(0.04, 0.4, 4, 2)
    expected = [(rate, decay, rate, 0.0) for rate, decay in zip(rates, decays)]
    assert [value for row in observed for value in row] == pytest.approx(
        [value for row in expected for value in row]
    )


def test_an_interrupted_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    whole, values_ = train(tmp_path / "whole")
    train(tmp_path / "parts", stop=5)  # in the third of four epochs
    resumed, later = train(tmp_path / "parts", resume=True, seed=1)
    assert later == values_[4:]
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def test_every_gradient_is_clipped_by_itself_and_only_matrices_decay() -> None:
    torch.manual_seed(0)
    matrix, bias, short = (nn.Parameter(torch.randn(s).double()) for s in ((3, 4), (5,), (2, 2)))
    gradients = [torch.randn_like(p) * s for p, s in ((matrix, 9.0), (bias, 9.0), (short, 0.1))]
    optimizer = ClippedAdamW([matrix, bias, short], lr=0.1, weight_decay=0.3, clip=3.0)
    plain = [nn.Parameter(p.detach().clone()) for p in (matrix, bias, short)]
    other = torch.optim.AdamW(
        [{"params": [plain[0], plain[2]], "weight_decay": 0.3}, {"params": [plain[1]]}],
        lr=0.1,
        weight_decay=0.0,
    )
    for _ in range(2):
        for p, q, g in zip((matrix, bias, short), plain, gradients):
            p.grad = g.clone()
            q.grad = g * min(1.0, 3.0 / (float(g.norm()) + 1e-6))
        assert matrix.grad is not None
        assert float(matrix.grad.norm()) > 3
        optimizer.step()
        other.step()
        assert float(matrix.grad.norm()) == pytest.approx(3.0, rel=1e-6)
        gradients = [-g / 2 for g in gradients]
    torch.testing.assert_close([matrix, bias, short], plain, rtol=0, atol=1e-12)


def test_without_a_bound_gradients_stay_as_they_are() -> None:
    weight = nn.Parameter(torch.ones(2, 2))
    weight.grad = torch.full((2, 2), 50.0)
    ClippedAdamW([weight], clip=None).step()
    assert torch.equal(weight.grad, torch.full((2, 2), 50.0))


def test_a_parameter_without_gradient_is_neither_moved_nor_decayed() -> None:
    method = conv_method("contrastive")
    optimizers = PhaseOptimizers(method, {"encoder": 0.1, "head": 0.1}, ClippedAdamW)
    before = [p.detach().clone() for p in optimizers.parameters["encoder"]]
    optimizers["encoder"].step()
    torch.testing.assert_close([p.detach() for p in optimizers.parameters["encoder"]], before)
