"""SimSiam, NNCLR, NNBYOL and ReSSL, step by step against plain tensors."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.methods import NNBYOL, NNCLR, ReSSL, SimSiam
from tests.common.methods.test_momentum_encoders import (
    MOMENTUM,
    QUEUE,
    TEMPERATURE,
    Halves,
    Scale,
    halves,
    parts,
    run,
)
from tests.oracles import momentum_encoders as oracle
from tests.tiny import RATES, Linear, batch

RATE = RATES["encoder"]
SETTINGS: dict[str, dict[str, Any]] = {
    "SimSiam": {},
    "NNCLR": {"queue": QUEUE, "temperature": TEMPERATURE},
    "NNBYOL": {"queue": QUEUE, "momentum": MOMENTUM},
    "ReSSL": {"queue": QUEUE, "momentum": MOMENTUM, "temperature": TEMPERATURE},
}
KINDS = {"SimSiam": SimSiam, "NNCLR": NNCLR, "NNBYOL": NNBYOL, "ReSSL": ReSSL}


def make(name: str, **settings: Any) -> Any:
    classifier, projector = parts()
    heads = [projector] if name == "ReSSL" else [projector, Linear(4, 4)]
    chosen = {**SETTINGS[name], **settings}
    return KINDS[name](classifier, *heads, Halves(), Scale(), **chosen).double()


def weights(method: Any) -> dict[str, Tensor]:
    trained = {"F": method.classifier.encoder.weight, "G": method.projector.weight}
    if hasattr(method, "predictor"):
        trained["Q"] = method.predictor.weight
    return {name: weight.detach().clone() for name, weight in trained.items()}


def slow(method: Any) -> dict[str, Tensor]:
    copies = zip("FG", (layer.weight for layer in method.momentum_encoder.module))
    return {name: weight.detach().clone() for name, weight in copies}


def enter(queue: Tensor, rows: Tensor, step: int) -> None:
    queue[torch.arange(6 * step, 6 * step + 6) % QUEUE] = rows


def same(left: Any, right: Any) -> None:
    torch.testing.assert_close(left, right, rtol=0, atol=1e-10)


def test_three_steps_of_simsiam_are_the_written_out_steps() -> None:
    method = make("SimSiam")
    fast = weights(method)
    for seed in range(3):
        fast = oracle.simsiam_step(halves(seed), fast, RATE)
    run(method, 3)
    same(weights(method), fast)


def test_three_steps_of_nnclr_are_the_written_out_steps() -> None:
    method = make("NNCLR")
    fast, queue = weights(method), method.queue.queue.clone()
    for seed in range(3):
        fast, entering = oracle.nnclr_step(halves(seed), fast, queue, RATE, TEMPERATURE)
        enter(queue, entering, seed)
    run(method, 3)
    same((weights(method), method.queue.queue), (fast, queue))


def test_three_steps_of_nnbyol_are_the_written_out_steps() -> None:
    method = make("NNBYOL")
    fast, copy, queue = weights(method), slow(method), method.queue.queue.clone()
    for seed in range(3):
        fast, copy, entering = oracle.nnbyol_step(halves(seed), fast, copy, queue, RATE, MOMENTUM)
        enter(queue, entering, seed)
    run(method, 3)
    same((weights(method), slow(method), method.queue.queue), (fast, copy, queue))


def test_three_steps_of_re_ssl_are_the_written_out_steps() -> None:
    method = make("ReSSL", teacher_temperature=0.1)
    fast, copy, queue = weights(method), slow(method), method.queue.queue.clone()
    for seed in range(3):
        settings = (RATE, MOMENTUM, TEMPERATURE, 0.1)
        fast, copy, entering = oracle.re_ssl_step(halves(seed), fast, copy, queue, settings)
        enter(queue, entering, seed)
    run(method, 3)
    same((weights(method), slow(method), method.queue.queue), (fast, copy, queue))


def test_re_ssl_looks_at_the_weak_view_with_the_momentum_encoder() -> None:
    method = make("ReSSL", weak_policy=Fixed(), weak_transform=Scale())
    (phase,) = method.steps(batch())
    x = batch()["image"]
    key = method.momentum_encoder(x / 7)
    query = method.projector(method.classifier.encode(x))
    start = make("ReSSL").queue.queue
    same(phase.loss.detach(), method.loss(query, key, start).detach())


class Fixed(nn.Module):
    """A policy that gives 7."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_full((len(x), 1), 7.0)


@pytest.mark.bad_input("learning")
@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ReSSL", {"weak_policy": Fixed()}, r"^ReSSL: weak_policy and weak_transform must both"),
        ("ReSSL", {"momentum": 2}, r"^ReSSL: momentum must be between 0 and 1, got 2"),
        ("NNBYOL", {"queue": 0}, r"queue and features must be at least 1, got 0 and 4"),
        ("NNCLR", {"temperature": 0.0}, r"^NNCLR: temperature must be at least"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(
    name: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(name, **settings)
