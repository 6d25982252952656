"""What is not finite ends a training before it is learned from, and is named."""

import copy
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.data import CacheDataset, DataLoader
from torch import nn

from common.checks import InputError
from common.data import StackDataset, as_batch, write_stack
from common.engines import ContrastiveTrainer, EpochSampler, PhaseOptimizers
from common.kernels import Gaussian
from common.losses import KernelContrastive
from common.methods import Contrastive, Method, Phase
from common.networks import ImageClassifier, require_finite
from common.policies import TransformationNetwork
from tests.ranks import on_two_ranks
from tests.tiny import (
    RATES,
    Linear,
    Matrix,
    batch,
    conv_method,
    entries,
    one_batch,
    trainer,
)

pytestmark = pytest.mark.bad_input("learning")
SIDE = 8


class Hooked(Method):
    """One weight per feature, whose gradient passes through `of`; the loss is their sum."""

    def __init__(self, of: Any = lambda g: g, loss: float = 0.0) -> None:
        super().__init__(ImageClassifier(Matrix(SIDE**2, 5, "tanh"), 5))
        self.weight, self.of, self.offset = nn.Parameter(torch.ones(3)), of, loss

    def steps(self, content: Mapping[str, Any]) -> Iterator[Phase]:
        leaf = self.weight * 1.0
        leaf.register_hook(self.of)
        value = leaf.sum() + self.offset
        yield Phase("encoder", value, {"term": value.detach()})


def kernel_method(y: str = "label", **settings: Any) -> Contrastive:
    """The method of the brain-age bundle out of single matrices."""
    torch.manual_seed(0)
    classifier = ImageClassifier(Matrix(SIDE**2, 5, "relu"), 5)
    loss = KernelContrastive(Gaussian(5.0), 0.1, **settings)
    return Contrastive(classifier, Linear(5, 4), loss=loss, views=1, columns={"y": y})


def saves(engine: ContrastiveTrainer) -> list[int]:
    """The epochs after which a handler would have saved the run."""
    epochs: list[int] = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda e: epochs.append(e.state.epoch))
    return epochs


def refused(engine: ContrastiveTrainer, text: str) -> str:
    """The error of the run, which leaves every weight as it was."""
    before = copy.deepcopy(dict(engine.network.named_parameters()))
    with pytest.raises(InputError, match=text) as caught:
        engine.run()
    for name, parameter in engine.network.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["learned", "contrastive", "byol", "supervised"])
def test_an_image_that_is_not_finite_leaves_even_the_running_means_alone(
    kind: str, bad: float
) -> None:
    method, data = conv_method(kind), entries(6)
    data[4]["image"][0, 2, 3] = bad
    before = copy.deepcopy(method.state_dict())
    text = refused(trainer(method, data, 6), "every image must be finite")
    assert "number 4 of the data set at iteration 1 of epoch 1" in text
    torch.testing.assert_close(dict(method.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.parametrize("kind", ["all", "threshold", "exponential"])
def test_a_row_of_a_stack_is_named_and_nothing_is_saved(kind: Any, tmp_path: Path) -> None:
    rows = np.random.default_rng(0).random((8, SIDE, SIDE)).astype(np.float32)
    rows[5, 1, 1] = math.nan
    write_stack(tmp_path / "rows.npy", iter(rows), (SIDE, SIDE), "float32")
    data = [
        {"image": "rows.npy", "index": i, "age": 20 + i, "label": i % 2, "patient": str(i)}
        for i in range(8)
    ]
    empty = {key: {} for key in ("arguments", "versions", "counts", "sha256", "source", "licence")}
    parts = {"training": data, "validation": [], "test": [], "skipped": []}
    (tmp_path / "manifest.json").write_text(json.dumps({**empty, **parts}))
    stack = StackDataset(tmp_path, "training", columns=["age"])
    loader = DataLoader(
        stack, batch_size=2, sampler=EpochSampler(stack, shuffle=False), collate_fn=as_batch
    )
    method = kernel_method(repulsion=kind, variant="released", y="age")
    optimizers = PhaseOptimizers(method, RATES, torch.optim.SGD)
    engine = ContrastiveTrainer("cpu", 1, loader, method, optimizers)
    saved = saves(engine)
    with pytest.raises(InputError, match=r"in rows\.npy row 5 at iteration 3 of epoch 1"):
        engine.run()
    assert saved == []


def test_a_file_is_named_in_any_order_of_the_epoch() -> None:
    def read(entry: dict[str, Any]) -> dict[str, Any]:
        number = int(entry["image"][5:-4])
        image = torch.rand(1, SIDE, SIDE) * (math.inf if number == 7 else 1)
        return {"image": image, "label": 0}

    data = CacheDataset([{"image": f"film_{i}.png"} for i in range(9)], read, progress=False)
    for seed in range(3):
        with pytest.raises(InputError, match=r"NaN or infinity in film_7\.png at iteration"):
            trainer(conv_method("simclr"), data, 3, seed=seed).run()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["all", "threshold", "exponential"])
@pytest.mark.parametrize("variant", ["paper", "released"])
def test_a_rate_that_bursts_the_features_ends_the_run(kind: Any, variant: Any) -> None:
    method = kernel_method(repulsion=kind, variant=variant)
    engine = trainer(method, entries(6), 3, max_epochs=4)
    engine.optimizers["encoder"].param_groups[0]["lr"] = 1e30
    with pytest.raises(
        InputError, match=r"every loss must be finite, got encoder/loss nan, .*at it"
    ):
        engine.run()


def test_a_last_step_that_bursts_the_weights_is_not_saved() -> None:
    method = Hooked(lambda gradient: gradient * 1e30)
    engine = trainer(method, entries(3), 3)
    engine.optimizers["encoder"].param_groups[0]["lr"] = 1e20
    saved = saves(engine)
    with pytest.raises(
        InputError, match=r"after epoch 1: weights must be finite, got .* in weight"
    ):
        engine.run()
    assert saved == []


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_is_named_by_phase_and_term_with_its_batch(bad: float) -> None:
    text = refused(trainer(Hooked(loss=bad), entries(4), 2), "every loss must be finite")
    assert f"encoder/loss {bad}, encoder/term {bad} at iteration 1 of epoch 1" in text
    assert "(images number " in text


@pytest.mark.parametrize("accumulation", [1, 3])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_gradient_is_named_by_phase_before_its_step(accumulation: int, bad: float) -> None:
    method = Hooked(lambda gradient: gradient * bad)
    text = "every gradient must be finite, got NaN or infinity in the phase encoder"
    refused(trainer(method, entries(6), 2, accumulation=accumulation), text)


def test_gradients_whose_length_alone_overflows_are_stepped_with() -> None:
    method = Hooked(lambda gradient: gradient * 1e38)
    one_batch(method, batch(dtype=torch.float32))
    assert torch.isfinite(method.weight).all()
    assert method.weight[0] < -1e36


class Scaler(torch.amp.GradScaler):
    def __init__(self, **settings: Any) -> None:
        super().__init__("cpu", init_scale=8.0)


def test_an_overflow_by_the_loss_scale_is_skipped_and_one_without_it_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.amp, "GradScaler", Scaler)
    method = Hooked(lambda gradient: gradient * 1e38)  # 8e38 is infinite, 2e38 is not
    engine = trainer(method, entries(6), 2)
    engine.run()
    assert engine.scaler.get_scale() == 2.0
    assert method.weight[0] < -1e36
    endless = trainer(Hooked(lambda gradient: gradient * math.nan), entries(12), 2)
    refused(endless, "every gradient must be finite.* at iteration 4 of epoch 1")


def test_m_with_weights_that_are_not_finite_does_not_pass_as_not_applied() -> None:
    method = conv_method("learned")
    policy = method.policy
    assert isinstance(policy, TransformationNetwork)
    nn.init.constant_(policy.head.weight, math.nan)
    with pytest.raises(InputError, match=r"^TransformationNetwork: .* must be finite, got NaN"):
        trainer(method, entries(4), 2).run()


def bad_on_rank_1() -> list[str]:
    """What this rank is told of an image, and of a loss, that are not finite on rank 1 alone."""
    data, rank = entries(8), torch.distributed.get_rank()
    data[3]["image"][0, 0, 0] = math.nan  # of the second batch of rank 1
    loader = DataLoader(data, sampler=EpochSampler(data, shuffle=False))
    method = conv_method("simclr")
    optimizers = PhaseOptimizers(method, RATES, torch.optim.SGD)
    engine = ContrastiveTrainer("cpu", 1, loader, method, optimizers)
    with pytest.raises(InputError) as image:
        engine.run()
    with pytest.raises(InputError) as loss:
        one_batch(Hooked(loss=math.inf if rank else 0.0), batch(dtype=torch.float32))
    return [str(image.value), str(loss.value)]


@pytest.mark.slow
def test_all_ranks_stop_and_none_waits(tmp_path: Path) -> None:
    first, second = on_two_ranks(bad_on_rank_1, tmp_path)
    assert "image must be finite numbers, got NaN or infinity in number 3 of the data" in second[0]
    assert "every loss must be finite, got encoder/loss inf" in second[1]
    assert all("another process at iteration" in text for text in first)


def test_weights_that_are_not_finite_are_refused_by_name() -> None:
    state = {"a": torch.ones(3), "b": torch.tensor([1.0, math.nan]), "n": torch.tensor(3)}
    with pytest.raises(InputError, match=r"^m\.pt: weights must be finite, got NaN .* in b\. Go"):
        require_finite(state, "m.pt", "Go.")
    state["b"] = torch.full((4,), 3e38)  # whose sum is infinite
    require_finite(state, "m.pt", "Go.")
