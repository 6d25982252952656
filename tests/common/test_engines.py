"""The engine: resume, accumulation, seeds, ranks, and MONAI's handlers."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.handlers import (
    CheckpointSaver,
    LrScheduleHandler,
    MLFlowHandler,
    StatsHandler,
    TensorBoardStatsHandler,
)
from torch import Tensor
from torch.optim.lr_scheduler import StepLR

from common.checks import InputError
from common.engines import Checkpoint, ContrastiveTrainer, EpochSampler, History, PhaseOptimizers
from common.engines import sampler as sampler_module
from common.engines.progress import Progress
from common.methods import Method
from tests.tiny import batch, conv_method, entries, matrix_method, one_batch, trainer

IMAGES, BATCH = 10, 3  # three batches an epoch, one image left over
KINDS: dict[str, dict[str, Any]] = {
    "learned": {},
    "shared": {"update": "shared"},
    "every second": {"policy_every": 2},
    "simclr": {},
    "supervised": {},
}


def make(kind: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    name = kind if kind in ("simclr", "supervised") else "learned"
    return conv_method(name, **KINDS[kind])


def train(
    path: Path,
    kind: str = "learned",
    max_epochs: int = 4,
    resume: bool = False,
    method: Method | None = None,
    bundle: str = "tiny",
    **settings: Any,
) -> dict[str, Any]:
    """State of everything after a training with Adam, a schedule, History and Checkpoint."""
    method = method or make(kind)
    engine = trainer(
        method, entries(IMAGES), BATCH, max_epochs, optimizer=torch.optim.Adam, **settings
    )
    schedule = StepLR(engine.optimizers["encoder"], step_size=1, gamma=0.5)
    objects = {"network": method, "optimizers": engine.optimizers, "schedule": schedule}
    engine._register_handlers(
        [
            Checkpoint(path / "checkpoint.pt", objects, bundle, resume=resume),
            History(path / "history.json"),
            LrScheduleHandler(schedule, print_lr=False),
        ]
    )
    engine.run()
    return {name: thing.state_dict() for name, thing in objects.items()}


def assert_same(a: dict[str, Any], b: dict[str, Any]) -> None:
    torch.testing.assert_close(a["network"], b["network"], rtol=0, atol=0)
    torch.testing.assert_close(a["optimizers"], b["optimizers"], rtol=0, atol=0)
    assert a["schedule"] == b["schedule"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings",
    [{}, {"accumulation": 2}, {"amp": True}],
    ids=["plain", "accumulation", "bfloat16"],
)
def test_a_resumed_training_equals_the_uninterrupted_one_to_the_bit(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    whole = train(tmp_path / "whole", kind, **settings)
    train(tmp_path / "parts", kind, max_epochs=2, **settings)
    other_start = make(kind, seed=1)
    resumed = train(tmp_path / "parts", kind, resume=True, method=other_start, **settings)
    assert_same(whole, resumed)
    history = [json.loads((tmp_path / n / "history.json").read_text()) for n in ("whole", "parts")]
    assert history[0] == history[1]
    assert history[0]["epoch"] == [1, 2, 3, 4]


def test_a_finished_training_resumes_to_itself(tmp_path: Path) -> None:
    done = train(tmp_path, max_epochs=2)
    assert_same(done, train(tmp_path, max_epochs=2, resume=True))


def test_without_resume_a_checkpoint_is_not_read(tmp_path: Path) -> None:
    fresh = train(tmp_path, max_epochs=1)
    assert_same(fresh, train(tmp_path, max_epochs=1))


def wider() -> Method:
    method = make("learned")
    method.projector = torch.nn.Linear(6, 9)
    return method


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def fill_with_text(path: Path) -> None:
    path.write_text("not a checkpoint")


@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (None, {"bundle": "other"}, "belongs to bundle 'tiny', this is 'other'. Give another"),
        (None, {"method": wider}, "does not fit this configuration (network). Resume with"),
        (None, {"kind": "simclr"}, "does not fit this configuration (network). Resume with"),
        (truncate, {}, "not a readable checkpoint. Delete it, or set resume to false."),
        (fill_with_text, {}, "not a readable checkpoint. Delete it, or set resume to false."),
    ],
    ids=["another bundle", "another width", "another method", "truncated", "text"],
)
def test_a_checkpoint_that_does_not_fit_is_refused_and_kept(
    spoil: Callable[[Path], None] | None, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    train(tmp_path, max_epochs=1)
    path = tmp_path / "checkpoint.pt"
    if spoil is not None:
        spoil(path)
    before = path.read_bytes()
    settings = {key: value() if callable(value) else value for key, value in settings.items()}
    with pytest.raises(InputError) as caught:
        train(tmp_path, resume=True, **settings)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_an_interrupted_save_leaves_the_previous_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(tmp_path, max_epochs=1)

    def disk_full(state: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr(torch, "save", disk_full)
        with pytest.raises(OSError, match="No space left"):
            train(tmp_path, max_epochs=2, resume=True)
    assert_same(first, train(tmp_path, max_epochs=1, resume=True))


def test_checkpoints_are_saved_at_the_interval_and_at_the_end(tmp_path: Path) -> None:
    saved: list[int] = []
    method = make("supervised")
    engine = trainer(method, entries(IMAGES), BATCH, max_epochs=5)
    handler = Checkpoint(tmp_path / "c.pt", {"network": method}, "tiny", interval=2)
    handler.attach(engine)

    class Watch:
        def state_dict(self) -> dict[str, int]:
            saved.append(engine.state.epoch)
            return {}

    handler.objects["watch"] = Watch()
    engine.run()
    assert saved == [2, 4, 5]


def sgd_gradients(method: Method, batches: list[dict[str, Tensor]], **settings: Any) -> Any:
    """(parameters before - parameters after) / rate of one epoch of plain gradient descent."""
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    optimizers = PhaseOptimizers(method, {"encoder": 1.0, "policy": 1.0}, torch.optim.SGD)
    ContrastiveTrainer("cpu", 1, batches, method, optimizers, **settings).run()
    return {name: before[name] - p.detach() for name, p in method.named_parameters()}


def test_accumulation_steps_with_the_mean_of_the_gradients() -> None:
    batches = [batch(seed=seed) for seed in (1, 2, 3)]
    # shared: M and f step after all three backward passes, so each gradient is that of the start
    alone = [sgd_gradients(matrix_method(update="shared"), [content]) for content in batches]
    together = sgd_gradients(matrix_method(update="shared"), batches, accumulation=3)
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
    seen: list[float] = []
    engine.add_event_handler(
        Events.ITERATION_COMPLETED, lambda e: seen.append(e.state.output["loss"])
    )
    History(tmp_path / "runs" / "history.json").attach(engine)
    engine.run()
    kept = json.loads((tmp_path / "runs" / "history.json").read_text())
    assert kept["epoch"] == [1, 2]
    assert set(kept["terms"]) == {"loss", "encoder/loss", "encoder/contrastive"}
    expected = [sum(seen[:3]) / 3, sum(seen[3:]) / 3]
    assert kept["terms"]["loss"] == pytest.approx(expected, rel=1e-12)


def test_monai_handlers_attach(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = make("learned")
    engine = trainer(method, entries(IMAGES), BATCH, max_epochs=2)
    schedule = StepLR(engine.optimizers["encoder"], step_size=1, gamma=0.1)
    engine._register_handlers(
        [
            StatsHandler(name="stats", output_transform=lambda output: output["loss"]),
            TensorBoardStatsHandler(
                log_dir=str(tmp_path / "board"), output_transform=lambda output: output["loss"]
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


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow, an optional extra, is absent")
def test_mlflow_handler_attaches(tmp_path: Path) -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH)
    handler = MLFlowHandler(
        tracking_uri=(tmp_path / "runs").as_uri(), output_transform=lambda output: output["loss"]
    )
    handler.attach(engine)
    engine.run()
    assert list((tmp_path / "runs").rglob("metrics/*"))


def test_progress_counts_the_batches_and_shows_the_loss(
    capsys: pytest.CaptureFixture[str],
) -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH, max_epochs=2)
    Progress().attach(engine)
    engine.run()
    assert "6/6" in capsys.readouterr().err


def test_progress_lets_an_error_before_the_first_batch_through() -> None:
    engine = trainer(make("simclr"), entries(IMAGES), BATCH)

    def refuse(_: ContrastiveTrainer) -> None:
        raise InputError("a bad checkpoint")

    engine.add_event_handler(Events.STARTED, refuse)
    Progress().attach(engine)
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
