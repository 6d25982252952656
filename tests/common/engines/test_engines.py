"""The engine: accumulation, seeds, ranks, and MONAI's handlers."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.handlers import (
    CheckpointSaver,
    LrScheduleHandler,
    StatsHandler,
    TensorBoardStatsHandler,
    from_engine,
)
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from common.checks import InputError
from common.engines import ContrastiveTrainer, EpochSampler, PhaseOptimizers
from common.engines import sampler as sampler_module
from common.methods import Method
from tests.tiny import (
    batch,
    conv_method,
    entries,
    matrix_method,
    one_batch,
    run_folder,
    trainer,
)

IMAGES, BATCH = 10, 3  # three batches an epoch, one image left over


def make(kind: str) -> Method:
    torch.manual_seed(0)
    return conv_method(kind)


def sgd_gradients(method: Method, batches: list[dict[str, Tensor]], **settings: Any) -> Any:
    """(parameters before - parameters after) / rate of one epoch of plain gradient descent."""
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    optimizers = PhaseOptimizers(method, {"encoder": 1.0, "policy": 1.0}, torch.optim.SGD)
    ContrastiveTrainer("cpu", 1, batches, method, optimizers, **settings).run()
    return {name: before[name] - p.detach() for name, p in method.named_parameters()}


@pytest.mark.parametrize("alpha", [(1, 10, 1, 1, 1), (0.7, 0, 1.3, 0, 1.1)])
def test_accumulation_steps_with_the_mean_of_the_gradients(alpha: tuple[float, ...]) -> None:
    batches = [batch(seed=seed) for seed in (1, 2, 3)]
    # shared: M and f step after all three backward passes, so each gradient is that of the start
    settings = {"update": "shared", "alpha": alpha}
    alone = [sgd_gradients(matrix_method(**settings), [content]) for content in batches]
    together = sgd_gradients(matrix_method(**settings), batches, accumulation=3)
    for name, gradient in together.items():
        mean = torch.stack([one[name] for one in alone]).mean(dim=0)
        assert mean.abs().max() > 1e-6
        torch.testing.assert_close(gradient, mean, rtol=0, atol=1e-10)


def test_a_group_cut_short_by_the_end_of_an_epoch_is_a_mean_too() -> None:
    batches = [batch(seed=seed) for seed in (1, 2)]
    cut = sgd_gradients(matrix_method(update="shared"), batches, accumulation=3)
    whole = sgd_gradients(matrix_method(update="shared"), batches, accumulation=2)
    torch.testing.assert_close(cut, whole, rtol=0, atol=0)


def test_m_learns_from_its_turns_when_they_miss_the_end_of_a_group() -> None:
    """M's turn is the first batch of each group of two; the optimisers step after the second."""
    batches = [batch(seed=seed) for seed in (1, 2)]
    settings = {"update": "shared", "policy_every": 2}
    name = "policy.weight"
    alone = sgd_gradients(matrix_method(**settings), batches[:1])[name]
    together = sgd_gradients(matrix_method(**settings), batches, accumulation=2)[name]
    assert alone.abs().max() > 1e-6
    torch.testing.assert_close(together, alone / 2, rtol=0, atol=1e-10)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    states = []
    for seed in (0, 0, 1):
        method = make("learned")
        trainer(method, entries(IMAGES), BATCH, seed=seed).run()
        states.append(method.state_dict())
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    assert not torch.equal(states[0]["classifier.head.weight"], states[2]["classifier.head.weight"])


def batches_of(rank: int, world: int, epoch: int, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a rank sees of 11 images at a global batch of 4."""
    monkeypatch.setattr(sampler_module, "rank", lambda: rank)
    monkeypatch.setattr(sampler_module, "world_size", lambda: world)
    sampler = EpochSampler(range(11), seed=3)
    sampler.set_epoch(epoch)
    loader = torch.utils.data.DataLoader(
        range(11), batch_size=4 // world, sampler=sampler, drop_last=True
    )
    return [content.tolist() for content in loader]


@pytest.mark.parametrize("epoch", [1, 2])
def test_two_ranks_together_see_the_batches_of_one_process(
    epoch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = batches_of(0, 1, epoch, monkeypatch)
    first, second = (batches_of(rank, 2, epoch, monkeypatch) for rank in (0, 1))
    assert len(one) == len(first) == len(second) == 2
    interleaved = [[x for pair in zip(a, b) for x in pair] for a, b in zip(first, second)]
    assert interleaved == one
    assert one != batches_of(0, 1, epoch + 1, monkeypatch)


def test_an_unshuffled_sampler_keeps_the_order() -> None:
    assert list(EpochSampler(range(5), shuffle=False)) == [0, 1, 2, 3, 4]


def test_history_holds_the_mean_of_every_term_of_every_epoch(tmp_path: Path) -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH, max_epochs=2)
    observed: list[float] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: observed.append(e.state.output[0]["loss"])
    )
    run_folder(tmp_path / "runs", {"network": engine.network}).attach(engine)
    engine.run()
    kept = json.loads((tmp_path / "runs" / "history.json").read_text())
    assert kept["epoch"] == [1, 2]
    assert set(kept["terms"]) == {"loss", "encoder/loss", "encoder/contrastive"}
    expected = [sum(observed[:3]) / 3, sum(observed[3:]) / 3]
    assert kept["terms"]["loss"] == pytest.approx(expected, rel=1e-12)


def test_monai_handlers_attach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = make("learned")
    engine = trainer(method, entries(IMAGES), BATCH, max_epochs=2)
    schedule = StepLR(engine.optimizers["encoder"], step_size=1, gamma=0.1)
    engine._register_handlers(
        [
            StatsHandler(name="stats", output_transform=from_engine(["loss"], first=True)),
            TensorBoardStatsHandler(
                log_dir=str(tmp_path / "board"), output_transform=from_engine(["loss"], first=True)
            ),
            LrScheduleHandler(schedule),
            CheckpointSaver(str(tmp_path), {"network": method}, save_interval=1),
        ]
    )
    engine.run()
    assert "Epoch: 2/2, Iter: 3/3 -- Loss:" in capsys.readouterr().out
    assert list((tmp_path / "board").glob("events.out.tfevents.*"))
    assert engine.optimizers["encoder"].param_groups[0]["lr"] == pytest.approx(0.3 * 0.1**2)
    state = torch.load(tmp_path / "network_epoch=2.pt", weights_only=True)
    torch.testing.assert_close(state, method.state_dict(), rtol=0, atol=0)


def test_progress_counts_the_batches_and_shows_the_loss(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH, max_epochs=2)
    run_folder(tmp_path, {"network": engine.network}).attach(engine)
    engine.run()
    assert "6/6" in capsys.readouterr().err


def test_a_run_folder_lets_an_error_before_the_first_batch_through(tmp_path: Path) -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH)

    def refuse(_: ContrastiveTrainer) -> None:
        raise InputError("a bad checkpoint")

    engine.add_event_handler(Events.STARTED, refuse)
    run_folder(tmp_path, {"network": engine.network}).attach(engine)
    with pytest.raises(InputError, match="a bad checkpoint") as caught:
        engine.run()
    assert caught.value.__context__ is None


def test_a_loader_without_a_batch_is_refused() -> None:
    with pytest.raises(InputError, match=r"at least one batch, got none\. Lower batch_size"):
        trainer(make("simclr"), entries(2), BATCH).run()


def test_m_can_be_trained_against_a_frozen_encoder() -> None:
    method = matrix_method()
    for parameter in [*method.classifier.parameters(), *method.projector.parameters()]:
        parameter.requires_grad_(False)
    encoder, m = method.classifier.encoder.weight.clone(), method.policy.weight.detach().clone()
    one_batch(method, batch())
    assert torch.equal(method.classifier.encoder.weight, encoder)
    assert not torch.equal(method.policy.weight, m)


def test_accumulation_below_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"accumulation must be at least 1, got 0\.$"):
        one_batch(matrix_method(), batch(), accumulation=0)


def test_a_phase_that_learns_needs_a_rate_and_one_that_does_not_may_have_one() -> None:
    with pytest.raises(InputError, match=r"must name every phase that learns, lacks \['policy'\]"):
        PhaseOptimizers(matrix_method(), {"encoder": 1.0})
    optimizers = PhaseOptimizers(make("simclr"), {"encoder": 1.0, "policy": 1.0})
    assert list(optimizers) == ["encoder"]


def test_a_part_that_was_evaluated_after_a_step_is_trained_in_the_next() -> None:
    method, modes = conv_method("byol"), []
    engine = trainer(method, entries(6), 3)
    engine.add_event_handler(Events.ITERATION_STARTED, method.projector.eval)
    method.projector.register_forward_hook(lambda module, *_: modes.append(module.training))
    engine.run()
    assert modes
    assert all(modes)
