"""Checkpoints: exact resume, and refusal of what does not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.handlers import (
    LrScheduleHandler,
)
from torch.optim.lr_scheduler import StepLR

from common.checks import InputError
from common.engines import Checkpoint, History
from common.methods import Method
from tests.tiny import conv_method, entries, trainer

IMAGES, BATCH = 10, 3  # three batches an epoch, one image left over
KINDS: dict[str, dict[str, Any]] = {
    "learned": {},
    "shared": {"update": "shared"},
    "every second": {"policy_every": 2},
    "simclr": {},
    "supervised": {},
    "contrastive": {},
    "byol": {},
    "moco": {},
}


def make(kind: str, seed: int = 0) -> Method:
    torch.manual_seed(seed)
    name = "learned" if kind in ("shared", "every second") else kind
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
        with pytest.raises(InputError, match="No space left"):
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
