"""Checkpoints: exact resume, and refusal of what does not fit."""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.handlers import LrScheduleHandler
from torch.optim.lr_scheduler import StepLR

from common.checks import InputError
from common.config import endings
from common.engines import RunFolder, due
from common.engines import run_folder as run_folder_module
from common.files import locked
from common.methods import Method
from tests.ranks import on_two_ranks
from tests.tiny import conv_method, entries, run_folder, trainer

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
    during: Mapping[int, Callable[[], None]] | None = None,
    snapshots: int = 1,
    every: str = "1 epoch",
    **settings: Any,
) -> dict[str, Any]:
    """State of everything after a training with Adam, a schedule and a run folder.

    Args:
        path: of the run's folder.
        kind: of the method.
        max_epochs: of three steps.
        resume: see `RunFolder`.
        method: unless it is to be made.
        bundle: its name.
        during: step -> what happens while it is done.
        snapshots: epochs between two.
        every: see `RunFolder`.
        settings: of the trainer.
    """
    method = method or make(kind)
    engine = trainer(
        method, entries(IMAGES), BATCH, max_epochs, optimizer=torch.optim.Adam, **settings
    )
    schedule = StepLR(engine.optimizers["encoder"], step_size=1, gamma=0.5)
    objects = {"network": method, "optimizers": engine.optimizers, "schedule": schedule}
    engine._register_handlers(
        [
            run_folder(path, objects, bundle, resume, snapshots, checkpoint_every=every),
            LrScheduleHandler(schedule, print_lr=False),
        ]
    )
    for step, happens in (during or {}).items():
        engine.add_event_handler(Events.ITERATION_STARTED(once=step), happens)
    with suppress(KeyboardInterrupt):
        engine.run()
    return {name: thing.state_dict() for name, thing in objects.items()}


def killed() -> None:
    raise KeyboardInterrupt


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
    train(tmp_path / "parts", kind, during={9: killed}, every="2 steps", **settings)
    saved = torch.load(tmp_path / "parts" / "checkpoint.pt")["engine"]
    assert saved == {"epoch": 2, "iteration": 8, "epoch_length": 3}
    other_start = make(kind, seed=1)
    resumed = train(tmp_path / "parts", kind, resume=True, method=other_start, **settings)
    assert_same(whole, resumed)
    history = [json.loads((tmp_path / n / "history.json").read_text()) for n in ("whole", "parts")]
    assert history[0] == history[1]
    assert history[0]["epoch"] == [1, 2, 3, 4]


def test_a_training_resumed_after_a_whole_epoch_equals_the_uninterrupted_one(
    tmp_path: Path,
) -> None:
    whole = train(tmp_path / "whole")
    train(tmp_path / "parts", max_epochs=2)
    assert_same(whole, train(tmp_path / "parts", resume=True))


@pytest.fixture
def asked() -> Iterator[Callable[[], None]]:
    """Return what asks this process to end, as a batch system does."""
    before = signal.signal(signal.SIGTERM, endings.Termination())
    yield lambda: os.kill(os.getpid(), signal.SIGTERM)
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("step", "saved"), [(4, 5), (5, 5), (6, 6)])
def test_a_training_that_is_asked_to_end_saves_its_next_whole_step(
    step: int, saved: int, asked: Callable[[], None], tmp_path: Path
) -> None:
    """The optimisers step after the second and the third batch of an epoch."""
    whole = train(tmp_path / "whole", accumulation=2)
    with pytest.raises(endings.Terminated):
        train(tmp_path / "parts", accumulation=2, during={step: asked})
    assert torch.load(tmp_path / "parts" / "checkpoint.pt")["engine"]["iteration"] == saved
    signal.signal(signal.SIGTERM, endings.Termination())  # another process
    assert_same(whole, train(tmp_path / "parts", resume=True, accumulation=2))


def asked_on_one_rank(folder: Path) -> int:
    """Ask the second of two ranks alone, in its second step."""
    signal.signal(signal.SIGTERM, endings.Termination())
    second = torch.distributed.get_rank() == 1
    ask = partial(os.kill, os.getpid(), signal.SIGTERM)
    with pytest.raises(endings.Terminated):
        train(folder, during={2: ask} if second else {}, every="99 epochs", snapshots=99)
    torch.distributed.barrier()  # the first has saved
    return int(torch.load(folder / "checkpoint.pt")["engine"]["iteration"])


@pytest.mark.slow
def test_all_ranks_end_after_one_step_where_one_of_them_is_asked_to(tmp_path: Path) -> None:
    assert on_two_ranks(partial(asked_on_one_rank, tmp_path / "run"), tmp_path) == [2, 2]


SAVES = {"1 epoch": [3, 6, 9], "2 epochs": [6, 9], "2 steps": [2, 4, 6, 8, 9], "9 minutes": [6, 9]}


@pytest.mark.parametrize("every", SAVES)
def test_a_run_is_saved_when_it_is_due_and_at_its_end(
    every: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves: list[int] = []
    clock = iter(range(0, 10**6, 100))  # seconds: a look is 100 s later than the last
    monkeypatch.setattr(due.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(
        run_folder_module,
        "save_checkpoint",
        lambda path, engine, *_: saves.append(engine.state.iteration),
    )
    train(tmp_path, "simclr", max_epochs=3, every=every, snapshots=9)
    assert saves == SAVES[every]


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("every", ["", "epoch", "0 steps", "1.5 steps", "-1 minutes", "5 hours"])
def test_a_checkpoint_is_every_so_many_epochs_steps_or_minutes(every: str) -> None:
    with pytest.raises(InputError, match=r"^checkpoint_every: must be a number of epochs, steps"):
        due.Due(every)


def test_a_finished_training_resumes_to_itself(tmp_path: Path) -> None:
    done = train(tmp_path, max_epochs=2)
    assert_same(done, train(tmp_path, max_epochs=2, resume=True))


@pytest.mark.bad_input("run")
@pytest.mark.parametrize("left", ["checkpoint.pt", "network_epoch=1.pt"])
def test_a_new_training_never_touches_the_folder_of_another(left: str, tmp_path: Path) -> None:
    train(tmp_path, max_epochs=1)
    for path in {tmp_path / "checkpoint.pt", tmp_path / "network_epoch=1.pt"} - {tmp_path / left}:
        path.unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    with pytest.raises(InputError, match=r"a new run must have a folder of its own, got one that"):
        train(tmp_path, max_epochs=1)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


@pytest.mark.bad_input("run")
def test_a_second_training_into_one_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(InputError, match="one process at a time must write to a run's folder"),
    ):
        train(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    train(tmp_path, max_epochs=1)


@pytest.mark.bad_input("run")
def test_a_resumed_training_on_other_data_is_refused(tmp_path: Path) -> None:
    train(tmp_path, max_epochs=1)
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": "0123456789ab"}))
    with pytest.raises(InputError, match="must have the same data, got None after '0123456789ab'"):
        train(tmp_path, resume=True)


def wider() -> Method:
    method = make("learned")
    method.projector = torch.nn.Linear(6, 9)
    return method


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def in_checkpoint(change: Callable[[Any], Any]) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        state = torch.load(path, weights_only=True)
        change(state)
        torch.save(state, path)

    return spoil


def whole_numbers(state: Any) -> None:
    state["network"] = {name: value.long() for name, value in state["network"].items()}


def fill_with_text(path: Path) -> None:
    path.write_text("not a checkpoint")


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize(
    ("spoil", "settings", "message"),
    [
        (None, {"method": wider}, "must fit this configuration, got another (network,"),
        (None, {"kind": "simclr"}, "must fit this configuration, got another (network,"),
        (truncate, {}, "must be a whole file of tensors, got an error"),
        (fill_with_text, {}, "must be a whole file of tensors, got an error"),
        (lambda path: torch.save([1], path), {}, "must hold network, optimizers, schedule, engine"),
        (in_checkpoint(whole_numbers), {}, "must be of type torch.float32, got torch.int64"),
        (
            in_checkpoint(lambda s: s["engine"].update(epoch=-1)),
            {},
            "of an epoch and a step within",
        ),
        (in_checkpoint(lambda s: s["engine"].update(epoch=2)), {}, "an epoch and a step within it"),
    ],
    ids=[
        *("another width", "another method", "truncated", "text", "a list", "whole numbers"),
        *("epoch -1", "an epoch too many"),
    ],
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


@pytest.mark.bad_input("run")
@pytest.mark.parametrize("values", ["ab", [None], ["a"], [float("nan")], []], ids=str)
def test_a_damaged_history_is_refused(values: Any, tmp_path: Path) -> None:
    train(tmp_path, max_epochs=1)
    path = tmp_path / "history.json"
    path.write_text(json.dumps({"epoch": [1], "terms": {"loss": values}}))
    with pytest.raises(InputError, match=r"history\.json: must hold epoch and terms of 1 epochs"):
        train(tmp_path, resume=True)


def test_a_training_killed_in_its_first_save_begins_again(tmp_path: Path) -> None:
    train(tmp_path / "whole", max_epochs=1)
    train(tmp_path / "killed", max_epochs=1)
    for name in ("checkpoint.pt", "model.pt", "model.json"):
        (tmp_path / "killed" / name).unlink()
    train(tmp_path / "killed", max_epochs=1, resume=True)
    one, two = (torch.load(tmp_path / name / "model.pt") for name in ("whole", "killed"))
    torch.testing.assert_close(one, two, rtol=0, atol=0)


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


def test_snapshots_are_of_the_interval_and_always_of_the_last_epoch(tmp_path: Path) -> None:
    method = make("supervised")
    engine = trainer(method, entries(IMAGES), BATCH, max_epochs=5)
    run_folder(tmp_path, {"network": method}, snapshot_interval=2).attach(engine)
    engine.run()
    names = sorted(path.name for path in tmp_path.glob("network_epoch=*.pt"))
    assert names == [f"network_epoch={epoch}.pt" for epoch in (2, 4, 5)]
    last = torch.load(tmp_path / names[-1], weights_only=True)
    torch.testing.assert_close(last, method.state_dict(), rtol=0, atol=0)


def cut_history(folder: Path) -> None:
    (folder / "history.json").write_text('{"epoch": [1], "terms": {"loss": []}}')


def spoil_history(folder: Path) -> None:
    (folder / "history.json").write_text("{")


def spoil_record(folder: Path) -> None:
    (folder / "run.json").write_text("[1]")


def empty_record(folder: Path) -> None:
    (folder / "run.json").write_text("{}")


@pytest.mark.bad_input("weights")
@pytest.mark.parametrize("spoil", [cut_history, spoil_history, spoil_record, empty_record])
def test_a_damaged_record_of_a_run_is_refused_in_one_line(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    train(tmp_path, max_epochs=1)
    spoil(tmp_path)
    with pytest.raises(InputError, match=r"(history|run)\.json: must .*, got ") as caught:
        train(tmp_path, resume=True)
    assert "\n" not in str(caught.value)


def test_a_run_keeps_its_own_model_and_says_whether_its_head_was_fitted(tmp_path: Path) -> None:
    for kind, fitted in (("moco", False), ("supervised", True)):
        train(tmp_path / kind, kind, max_epochs=1)
        about = json.loads((tmp_path / kind / "model.json").read_text())
        assert about["head_fitted"] is fitted
        again = train(tmp_path / kind, kind, max_epochs=1, resume=True)
        assert json.loads((tmp_path / kind / "model.json").read_text()) == about
        model = torch.load(tmp_path / kind / "model.pt", weights_only=True)
        assert {f"classifier.{name}" for name in model} <= set(again["network"])


@pytest.mark.bad_input("privacy")
@pytest.mark.parametrize("name", ["../../x", "/x", "a/b", "", ".hidden", "a\nb"])
def test_a_run_is_not_named_like_a_path(name: str, tmp_path: Path) -> None:
    method = make("supervised")
    with pytest.raises(InputError, match="strategy must be a name of at most 200 letters"):
        RunFolder(tmp_path, "tiny", name, 0, {"network": method}, method.classifier, "")
