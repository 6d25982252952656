"""TrainableCrop, step by step against the loops; its phases; two processes against one."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common import distributed
from common.checks import InputError
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import InfoMaxBound
from common.methods import TrainableCrop
from common.networks import ChannelEncoder, ImageClassifier, Projector
from common.policies import CellCrops, UniformCrops
from common.transforms import CropGrid
from tests.oracles import trainable_crop as oracle
from tests.ranks import on_two_ranks
from tests.tiny import FEATURES, RATES, Linear, Matrix, batch, one_batch

GRID = CropGrid(8, 4, 2)
BETA, LAMBDA = 0.5, 0.3
ALL = [list(range(9))]
SETTINGS = {"beta": BETA, "lambda": LAMBDA, **RATES}


class LinearChannel(nn.Module):
    """``log softmax(pixels @ weight)``."""

    def __init__(self) -> None:
        super().__init__()
        self.grid = GRID
        self.weight = nn.Parameter(0.3 * torch.randn(64, 9))

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1) @ self.weight).log_softmax(dim=1)


def method(channel: nn.Module | None = None, **settings: Any) -> TrainableCrop:
    """In float64 out of single matrices, the same on every call."""
    torch.manual_seed(0)
    encoder, projector = Matrix(16, FEATURES, "tanh"), Linear(FEATURES, 4)
    encoder.out_features, projector.out_features = FEATURES, 4
    network = ChannelEncoder(encoder, projector, channel or LinearChannel(), top=1)
    chosen: dict[str, Any] = {"crops": 3, "channel_crops": 9, "entropy_weight": LAMBDA}
    classifier = ImageClassifier(network, FEATURES)
    return TrainableCrop(classifier, InfoMaxBound(BETA), **{**chosen, **settings}).double()


def weights(network: TrainableCrop) -> dict[str, Tensor]:
    """The matrices by their names in the oracle."""
    parts = network.representation
    named = {"F": parts.encoder.weight, "G": parts.projector.weight, "C": parts.channel.weight}
    return {name: value.detach().clone() for name, value in named.items()}


def patch_draws(monkeypatch: pytest.MonkeyPatch, drawn: Tensor, seen: Tensor) -> list[Tensor]:
    """Give the draws, and keep the probabilities of the first."""
    given: list[Tensor] = []

    def multinomial(probability: Tensor, count: int, replacement: bool) -> Tensor:
        assert replacement
        assert count == drawn.shape[1]
        given.append(probability)
        return drawn

    monkeypatch.setattr(torch, "multinomial", multinomial)
    monkeypatch.setattr(torch, "randint", lambda *_, **__: seen)
    return given


@pytest.mark.parametrize("images", [6, 4], ids=["all images", "some images"])
@pytest.mark.parametrize("seen", [9, 5], ids=["all crops", "some crops"])
def test_one_step_is_the_written_out_step(
    seen: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = method(channel_crops=seen, channel_images=None if images == 6 else images)
    generator, x = torch.Generator().manual_seed(3), batch(6)
    drawn = torch.randint(9, (6, 3), generator=generator)
    looked = torch.randint(9, (images, 5), generator=generator)
    before = weights(network)
    given = patch_draws(monkeypatch, drawn, looked)
    index = ALL * images if seen == 9 else looked.tolist()
    wanted = oracle.step(x["image"], drawn.tolist(), index, before, (4, 2), SETTINGS)
    assert all((wanted[name] - before[name]).abs().max() > 1e-5 for name in before)
    one_batch(network, x)
    torch.testing.assert_close(weights(network), wanted, rtol=0, atol=1e-10)
    chosen = torch.stack([oracle.channel(image, before) for image in x["image"]])
    torch.testing.assert_close(given[0], chosen, rtol=0, atol=1e-12)


@pytest.mark.parametrize("merge", [True, False], ids=["views", "crops"])
def test_black_crops_count_as_one_view_unless_every_crop_counts(
    merge: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, x = method(entropy_of="view" if merge else "crop"), batch(6)
    x["image"][..., 4:] = 0  # the last of three columns of crops is black
    before = weights(network)
    drawn = torch.randint(9, (6, 3), generator=torch.Generator().manual_seed(3))
    patch_draws(monkeypatch, drawn, drawn)
    steps = [
        oracle.step(x["image"], drawn.tolist(), ALL * 6, before, (4, 2), SETTINGS, each)
        for each in (merge, not merge)
    ]
    assert (steps[0]["C"] - steps[1]["C"]).abs().max() > 1e-4
    one_batch(network, x)
    torch.testing.assert_close(weights(network), steps[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("phase", "moved"), [("encoder", {"F", "G"}), ("policy", {"C"})])
def test_a_phase_updates_only_its_own_parameters(phase: str, moved: set[str]) -> None:
    network = method()
    before = weights(network)
    rates = {name: 0.5 * (name == phase) for name in ("encoder", "policy")}
    optimizers = PhaseOptimizers(network, rates, torch.optim.SGD)
    ContrastiveTrainer("cpu", 1, [batch(6)], network, optimizers).run()
    after = weights(network)
    assert {name for name in before if not torch.equal(before[name], after[name])} == moved
    assert {id(p) for p in network.parameters()} == {
        id(p) for parameters in network.phase_parameters().values() for p in parameters
    }


def test_entropy_and_both_bounds_are_logged_and_lambda_may_change_in_training() -> None:
    network = method()
    for weight in (LAMBDA, 2 * LAMBDA):
        network.entropy_weight = weight
        output = one_batch(network, batch(6)).state.output[0]
        assert {"encoder/bound", "policy/channel_bound", "policy/entropy"} <= set(output)
        policy = -output["policy/channel_bound"] - weight * output["policy/entropy"]
        assert float(output["policy/loss"]) == pytest.approx(float(policy), abs=1e-6)


def test_a_channel_without_weights_has_no_phase_and_needs_no_rate() -> None:
    network = method(UniformCrops(GRID))
    assert set(network.phase_parameters()) == {"encoder"}
    phases = [phase.name for phase in network.steps(batch(6))]
    assert phases == ["encoder"]


def test_the_encoder_learns_from_crops_that_the_channel_can_choose() -> None:
    network, x = method(CellCrops(GRID, cell=4), crops=20), torch.zeros(2, 1, 8, 8).double()
    x[0, 0, :4, 4:], x[1, 0, 4:, :4] = 0.5, 0.9
    observed: list[Tensor] = []
    network.representation.encoder.register_forward_pre_hook(lambda _, c: observed.append(c[0]))
    next(iter(network.steps({"image": x})))
    # one black crop, of which none was drawn, and the one crop in each digit's cell
    assert len(observed[0]) == 1 + 2
    assert observed[0][1:].flatten(1).min() >= 0.5


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: method(crops=1), "crops and channel_crops must be at least 2, got 1 and 9"),
        (lambda: method(channel_images=1), "channel_images must be at least 2, got 1"),
        (
            lambda: method(entropy_weight=-0.1),
            "entropy_weight must be at least 0 and finite, got -0.1",
        ),
        (
            lambda: TrainableCrop(ImageClassifier(Projector(4), 128), InfoMaxBound()),
            "classifier.encoder must be a ChannelEncoder, got Projector",
        ),
    ],
)
def test_bad_settings_are_told_in_one_line(make: Callable[[], nn.Module], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()


def trained() -> dict[str, Tensor]:
    """The weights after three steps on this rank's rows, with the likeliest crops as draws."""
    network = method()
    optimizers = PhaseOptimizers(network, RATES, partial(torch.optim.Adam, weight_decay=0.1))
    world, here = distributed.world_size(), distributed.rank()
    batches = [{"image": batch(8, seed)["image"].chunk(world)[here]} for seed in range(3)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "multinomial", lambda p, count, **_: p.topk(count).indices)
        ContrastiveTrainer("cpu", 1, batches, network, optimizers).run()
    return weights(network)


@pytest.mark.slow
def test_two_ranks_train_encoder_and_channel_as_one_process_does(tmp_path: Path) -> None:
    one, start = trained(), weights(method())
    assert all((one[name] - start[name]).abs().max() > 1e-3 for name in start)
    for state in on_two_ranks(trained, tmp_path):
        torch.testing.assert_close(state, one, rtol=0, atol=1e-10)
