"""Many processes of a part of a batch against one, with and without cached activations."""

from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor, nn

from common import distributed
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import DINO as DINOLoss
from common.losses import BarlowTwins, InfoNCE, VIbCReg, VICReg
from common.methods import (
    BYOL,
    DINO,
    NNBYOL,
    NNCLR,
    Contrastive,
    DeepClusterV2,
    Method,
    MoCo,
    OneViewSimCLR,
    ReSSL,
    SimSiam,
    Supervised,
    SwAV,
    ViewGroup,
    WeightedSum,
    cross_entropy,
)
from common.networks import DINOHead, ImageClassifier, IterNorm, Projector
from common.policies import Uniform
from tests.ranks import on_ranks, on_two_ranks
from tests.tiny import Gap, run_folder

SUBJECTS = 8
WEIGHT = "classifier.encoder.layers.0.weight"
LABEL = torch.tensor([2, 0, 1, -1, -1, -1, 1, -1])  # three on rank 0, one on rank 1
OPTIMIZERS = {
    "encoder": partial(torch.optim.Adam, weight_decay=0.1),
    "head": partial(torch.optim.SGD, momentum=0.9),
}


class Shift(nn.Module):
    """A transformation that adds lam to the rows of a table."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        return x + lam


class Ramp(nn.Module):
    """A policy without chance: the third of the row itself."""

    def forward(self, x: Tensor) -> Tensor:
        return x / 3


def content(seed: int) -> dict[str, Tensor]:
    """This rank's rows of a batch."""
    rows = torch.randn(SUBJECTS, 6, generator=torch.Generator().manual_seed(seed)).double()
    whole = {"image": rows, "label": LABEL, "site": torch.tensor([0, 0, 1, 1] * 2)}
    whole["position"] = SUBJECTS * seed + torch.arange(SUBJECTS)
    world, here = distributed.world_size(), distributed.rank()
    return {name: value.chunk(world)[here] for name, value in whole.items()}


def trained() -> dict[str, Tensor]:
    """The weights after three steps, the same start in every process."""
    torch.manual_seed(0)
    method = Contrastive(
        ImageClassifier(Projector(6, 7, 5), 5, num_classes=3), Projector(5, 7, 4), Ramp(), Shift(),
        loss=InfoNCE(0.3), views=2, columns={"bias": "site"}, loss_weight=0.5, regularizer=Gap(),
        regularizer_weight=2.0, head_loss=cross_entropy,
    ).double()  # fmt: skip
    optimizers = PhaseOptimizers(method, {"encoder": 0.01, "head": 0.1}, OPTIMIZERS)
    batches = [content(seed) for seed in range(3)]
    ContrastiveTrainer("cpu", 1, batches, method, optimizers).run()
    return method.state_dict()


def start() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return ImageClassifier(Projector(6, 7, 5), 5, num_classes=3).double().state_dict()


@pytest.mark.slow
def test_two_ranks_train_encoder_and_head_as_one_process_does(tmp_path: Path) -> None:
    one: dict[str, Any] = trained()
    for name, value in start().items():
        assert (one[f"classifier.{name}"] - value).abs().max() > 1e-3
    for state in on_two_ranks(trained, tmp_path):
        torch.testing.assert_close(state, one, rtol=0, atol=1e-10)


class Chance(nn.Module):
    """A policy that looks random and depends on the row alone, not on its place."""

    def __init__(self, _: int) -> None:
        super().__init__()
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros(()))  # a resumed run goes on

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return (x * 1000 * self.calls).sin()


def every_method(policy: Callable[[int], nn.Module] = Chance) -> dict[str, Method]:
    """Each method on rows of a table, without batch normalisation.

    Elsewhere: `LearnedTransforms` (tests/bundles/test_distributed_run.py) and `TrainableCrop`
    (test_trainable_crop.py). `VariationalAutoencoder` has no term of a batch, and each rank draws
    its codes.
    """

    def parts(end: nn.Module | None = None) -> tuple[Any, ...]:
        torch.manual_seed(0)
        return ImageClassifier(Projector(6, 7, 5), 5), Projector(5, 7, 4, end=end)

    def predictor() -> Projector:
        return Projector(4, 7, 4)

    def views() -> tuple[nn.Module, nn.Module]:
        return policy(6), Shift()

    queue: dict[str, Any] = {"queue": 10}
    clusters = {"images": 3 * SUBJECTS, "prototypes": 5, "heads": 3}
    classifier, head = parts()
    byol = BYOL(classifier, head, predictor(), *views(), momentum=0.9)
    two = [byol, MoCo(classifier, Projector(5, 7, 3), *views(), momentum=0.8, **queue)]
    dino = DINOHead(5, out_features=6, hidden_features=7, bottleneck_features=4)
    three = ImageClassifier(Projector(6, 7, 5), 5, num_classes=3)
    group, loss = ViewGroup(*views(), count=2), DINOLoss(6)
    return {
        "SimCLR": Contrastive(*parts(), *views(), loss=InfoNCE(0.2)),
        "Barlow": Contrastive(*parts(), *views(), loss=BarlowTwins(0.1)),
        "VICReg": Contrastive(*parts(), *views(), loss=VICReg()),
        "VIbCReg": Contrastive(*parts(IterNorm(4, groups=2)), *views(), loss=VIbCReg()),
        "BYOL": BYOL(*parts(), predictor(), *views(), momentum=0.9),
        "NNBYOL": NNBYOL(*parts(), predictor(), *views(), momentum=0.9, **queue),
        "NNCLR": NNCLR(*parts(), predictor(), *views(), **queue),
        "SimSiam": SimSiam(*parts(), predictor(), *views()),
        "MoCo": MoCo(*parts(), *views(), momentum=0.9, **queue),
        "MoCo both ways": MoCo(*parts(), *views(), symmetric=True, **queue),
        "ReSSL": ReSSL(*parts(), *views(), momentum=0.9, **queue),
        "SwAV": SwAV(*parts(), *views(), prototypes=3, queue_after=1, **queue),
        "DeepClusterV2": DeepClusterV2(*parts(), *views(), **clusters),
        "DINO": DINO(parts()[0], dino, [group], loss=loss, momentum=0.9),
        "WeightedSum": WeightedSum(two, [0.4, 1.0]),
        "OneViewSimCLR": OneViewSimCLR(*parts(), *views(), loss=InfoNCE(0.2)),
        "Supervised": Supervised(three, *views(), loss=cross_entropy),
    }


def all_trained(cache_chunk: int = 0) -> dict[str, dict[str, Tensor]]:
    """Weights, queues and prototypes of every method after two epochs of three steps."""
    states = {}
    for name, method in every_method().items():
        method.double()
        optimizers = PhaseOptimizers(method, {"encoder": 0.01}, torch.optim.SGD)
        batches = [content(seed) for seed in range(3)]
        ContrastiveTrainer("cpu", 2, batches, method, optimizers, cache_chunk=cache_chunk).run()
        states[name] = method.state_dict()
    return states


@cache
def all_trained_by_one() -> dict[str, dict[str, Tensor]]:
    """What one process makes of them; never asked of ranks, which must all compute."""
    return all_trained()


def killed(epochs: int, method: Method, folder: Path, at: int, resume: bool = False) -> None:
    """Train, saving after every second step, and stop after step `at` as a killed process does."""
    optimizers = PhaseOptimizers(method, {"encoder": 0.01}, partial(torch.optim.SGD, momentum=0.9))
    batches = [content(seed) for seed in range(3)]
    engine = ContrastiveTrainer("cpu", epochs, batches, method, optimizers)
    objects = {"network": method, "optimizers": optimizers}
    saving = {"snapshot_interval": 9, "checkpoint_every": "2 steps"}
    run_folder(folder, objects, resume=resume, **saving).attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=at), end)
    with suppress(KeyboardInterrupt):
        engine.run()


def end() -> None:
    raise KeyboardInterrupt


def all_killed(folder: Path) -> None:
    """Train every method on this rank's rows until the fifth of nine steps."""
    for name, method in every_method().items():
        killed(3, method.double(), folder / name, at=5)


@pytest.mark.slow
def test_every_method_goes_on_on_another_number_of_ranks(tmp_path: Path) -> None:
    on_two_ranks(partial(all_killed, tmp_path / "parts"), tmp_path)
    for name, whole in every_method().items():
        killed(3, whole.double(), tmp_path / "whole" / name, at=99)
        other = every_method()[name].double()
        killed(3, other, tmp_path / "parts" / name, at=99, resume=True)
        torch.testing.assert_close(other.state_dict(), whole.state_dict(), rtol=0, atol=1e-8)


def test_every_method_resumed_within_an_epoch_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    """Queues, prototypes, clusters, teachers, momentum and random numbers go on."""
    for name, whole in every_method(Uniform).items():
        killed(3, whole.double(), tmp_path / name / "whole", at=99)
        killed(3, every_method(Uniform)[name].double(), tmp_path / name / "parts", at=5)
        other = every_method(Uniform)[name].double()
        killed(3, other, tmp_path / name / "parts", at=99, resume=True)
        torch.testing.assert_close(other.state_dict(), whole.state_dict(), rtol=0, atol=0)


def test_cached_activations_train_every_method_as_whole_batches_do() -> None:
    torch.testing.assert_close(all_trained(cache_chunk=3), all_trained_by_one(), rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(("world", "cache_chunk"), [(2, 0), (4, 0), (2, 3), (4, 1)])
def test_ranks_train_every_method_as_one_process_does(
    world: int, cache_chunk: int, tmp_path: Path
) -> None:
    one, ranks = all_trained_by_one(), on_ranks(world, partial(all_trained, cache_chunk), tmp_path)
    for name, method in every_method().items():
        start = method.double().state_dict()[WEIGHT]
        assert (one[name][WEIGHT] - start).abs().max() > 1e-6, name
        for state in ranks:
            torch.testing.assert_close(state[name], one[name], rtol=0, atol=1e-10)
