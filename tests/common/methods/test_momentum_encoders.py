"""BYOL and MoCo, step by step against plain tensors."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.engines import ContrastiveTrainer, CosineSchedule, PhaseOptimizers
from common.methods import BYOL, Method, MoCo
from common.networks import ImageClassifier, Projector
from tests.oracles import momentum_encoders as oracle
from tests.tiny import FEATURES, RATES, SIDE, Linear, Matrix, batch, conv_method, entries, trainer

MOMENTUM, TEMPERATURE, QUEUE = 0.9, 0.3, 8


class Halves(nn.Module):
    """A policy whose calls give 1, 2, 1, 2, …: first and second view."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.new_full((len(x), 1), 2 - self.calls % 2)


class Scale(nn.Module):
    """A transformation: ``x / lam``."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        return x / lam.reshape(-1, 1, 1, 1)


def parts() -> tuple[ImageClassifier, Linear]:
    torch.manual_seed(0)
    encoder = Matrix(SIDE**2, FEATURES, "tanh")
    projector = Linear(FEATURES, 4)
    projector.out_features = 4
    return ImageClassifier(encoder, FEATURES), projector


def byol(**settings: Any) -> BYOL:
    classifier, projector = parts()
    chosen = {"momentum": MOMENTUM, **settings}
    return BYOL(classifier, projector, Linear(4, 4), Halves(), Scale(), **chosen).double()


def moco(**settings: Any) -> MoCo:
    chosen = {"momentum": MOMENTUM, "temperature": TEMPERATURE, "queue": QUEUE, **settings}
    return MoCo(*parts(), Halves(), Scale(), **chosen).double()


def weights(method: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The trained matrices and the slow ones, by their names in the oracle."""
    fast = {"F": method.classifier.encoder.weight, "G": method.projector.weight}
    if isinstance(method, BYOL):
        fast["Q"] = method.predictor.weight
    slow = dict(zip("FG", (layer.weight for layer in method.momentum_encoder.module)))
    copies = [{name: w.detach().clone() for name, w in side.items()} for side in (fast, slow)]
    return copies[0], copies[1]


def run(method: Method, count: int, *handlers: Any) -> None:
    optimizers = PhaseOptimizers(method, RATES, optimizer=torch.optim.SGD)
    batches = [batch(seed=seed) for seed in range(count)]
    ContrastiveTrainer("cpu", 1, batches, method, optimizers, train_handlers=handlers).run()


def halves(seed: int) -> tuple[Tensor, Tensor]:
    x = batch(seed=seed)["image"]
    return x, x / 2


def test_a_training_of_byol_whose_momentum_rises_is_the_written_out_steps() -> None:
    method = byol()
    fast, slow = weights(method)
    for seed, share in enumerate((0, 0.25, 0.5, 0.75)):
        momentum = 1 - (1 - MOMENTUM) * (math.cos(math.pi * share) + 1) / 2
        fast, slow = oracle.byol_step(halves(seed), fast, slow, RATES["encoder"], momentum)
    before = weights(method)
    run(method, 4, CosineSchedule(method, "momentum", MOMENTUM, 1.0))
    torch.testing.assert_close(weights(method), (fast, slow), rtol=0, atol=1e-10)
    assert all((fast[name] - before[0][name]).abs().max() > 1e-6 for name in "FGQ")


def test_three_steps_of_moco_are_the_written_out_steps() -> None:
    method = moco()
    (fast, slow), queue = weights(method), method.loss.queue.clone()
    for seed in range(3):
        settings = (RATES["encoder"], MOMENTUM, TEMPERATURE)
        fast, slow, keys = oracle.moco_step(halves(seed), fast, slow, queue, settings)
        queue[torch.arange(6 * seed, 6 * seed + 6) % QUEUE] = keys
    run(method, 3)
    torch.testing.assert_close(weights(method), (fast, slow), rtol=0, atol=1e-10)
    torch.testing.assert_close(method.loss.queue, queue, rtol=0, atol=1e-10)
    assert int(method.loss.position) == 18 % QUEUE


def test_three_steps_of_symmetric_moco_are_the_written_out_steps() -> None:
    method = moco(symmetric=True)
    (fast, slow), queues = weights(method), [method.exchanged.queue, method.loss.queue]
    queues = [queue.clone() for queue in queues]
    for seed in range(3):
        settings = (RATES["encoder"], MOMENTUM, TEMPERATURE)
        views = halves(seed)
        one, _, keys_2 = oracle.moco_step(views, fast, slow, queues[1], settings)
        two, _, keys_1 = oracle.moco_step(views[::-1], fast, slow, queues[0], settings)
        fast = {name: (one[name] + two[name]) / 2 for name in "FG"}  # of the mean of both losses
        slow = {n: MOMENTUM * slow[n] + (1 - MOMENTUM) * fast[n] for n in "FG"}
        for queue, keys in zip(queues, (keys_1, keys_2)):
            queue[torch.arange(6 * seed, 6 * seed + 6) % QUEUE] = keys
    run(method, 3)
    torch.testing.assert_close(weights(method), (fast, slow), rtol=0, atol=1e-10)
    kept = [method.exchanged.queue, method.loss.queue]
    torch.testing.assert_close(kept, queues, rtol=0, atol=1e-10)


@pytest.mark.parametrize("kind", ["byol", "moco"])
def test_the_momentum_encoder_is_saved_but_belongs_to_no_phase(kind: str) -> None:
    method = conv_method(kind)
    (phase,) = method.phase_parameters().values()
    slow = {id(p) for p in method.momentum_encoder.parameters()}
    assert slow
    assert not slow & {id(p) for p in phase}
    assert {
        f"momentum_encoder.module.{k}" for k in method.momentum_encoder.module.state_dict()
    } <= set(method.state_dict())


@pytest.mark.parametrize("kind", ["byol", "moco"])
def test_the_engine_trains_it_in_half_precision(kind: str) -> None:
    torch.manual_seed(0)
    method = conv_method(kind)
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    output = trainer(method, entries(8), 4, max_epochs=2, amp=True)
    output.run()
    still = {name for name, p in method.named_parameters() if torch.equal(p, before[name])}
    assert {name.split(".")[0] for name in still} <= {"classifier"}  # its head
    assert still == {"classifier.head.weight", "classifier.head.bias"}
    assert {p.dtype for p in method.parameters()} == {torch.float32}
    assert math.isfinite(output.state.output[0]["loss"])


def test_the_terms_name_what_is_minimised() -> None:
    (phase,) = list(byol().steps(batch()))
    cosine = phase.terms["negative_cosine"]
    assert -1 <= float(cosine) <= 1
    torch.testing.assert_close(phase.loss.detach(), 4 + 4 * cosine)
    (phase,) = list(moco().steps(batch()))
    torch.testing.assert_close(phase.loss.detach(), phase.terms["contrastive"])


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (byol, {"momentum": 1.5}, r"^BYOL: momentum must be between 0 and 1, got 1\.5"),
        (moco, {"momentum": -1}, r"^MoCo: momentum must be between 0 and 1, got -1"),
        (moco, {"queue": 0}, r"^MoCo: queue and features must be at least 1"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(
    make: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(**settings)


def test_a_projector_of_unknown_width_is_told_the_cure() -> None:
    classifier, _ = parts()
    with pytest.raises(InputError, match=r"projector must have out_features, got Sequential\. Use"):
        MoCo(classifier, nn.Sequential())


def test_the_projector_of_byol_normalises_between_its_layers() -> None:
    kinds = [type(layer) for layer in Projector(4, 6, 3, norm="BATCH").layers]
    assert kinds == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    plain = [type(layer) for layer in Projector(4, 6, 3, layers=1, norm="BATCH").layers]
    assert plain == [nn.Linear]
    with pytest.raises(InputError, match=r'^Projector: norm must be "BATCH" or None, got \'x\''):
        Projector(4, norm="x")
