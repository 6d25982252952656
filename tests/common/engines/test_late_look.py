"""Numbers that are looked at every n-th step: nothing is read between, and nothing is missed."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from torch import Tensor
from torch.overrides import TorchFunctionMode

from common.checks import InputError
from common.engines import ContrastiveTrainer
from common.engines import trainer as trainer_module
from common.losses import InfoNCE
from common.methods import Contrastive
from tests.common.engines.test_finite import Hooked
from tests.ranks import on_two_ranks
from tests.tiny import Linear, conv_method, entries, run_folder, trainer


@pytest.fixture(autouse=True)
def _like_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "AT_ONCE", ())


READS = {"item", "tolist", "cpu", "numpy", "__bool__", "__float__", "__int__", "nonzero"}


class Reads(TorchFunctionMode):
    """Notes each call that would wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in READS:
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def engine_of(interval: int, epochs: int = 1, **settings: Any) -> ContrastiveTrainer:
    torch.manual_seed(0)
    return trainer(conv_method("byol"), entries(18), 3, epochs, log_interval=interval, **settings)


@pytest.mark.parametrize(("interval", "most"), [(3, 2), (1, 99)])
def test_nothing_is_read_between_two_looks(interval: int, most: int) -> None:
    torch.manual_seed(0)
    classifier = conv_method("contrastive").classifier
    method = Contrastive(classifier, Linear(6, 4), loss=InfoNCE(0.2))
    engine = trainer(method, entries(18), 3, log_interval=interval)
    reads: dict[int, int] = {}
    with Reads() as mode:
        engine.add_event_handler(Events.ITERATION_STARTED, lambda: mode.seen.clear())
        engine.add_event_handler(
            Events.ITERATION_COMPLETED,
            lambda e: reads.update({e.state.iteration: len(mode.seen)}),
        )
        engine.run()
    between = [reads[step] for step in (1, 2, 4, 5)]
    assert (max(between) == 0) == (interval > 1)
    assert 0 < reads[3] <= most
    assert 0 < reads[6] <= most


def test_looking_late_changes_no_weight_and_no_figure(tmp_path: Path) -> None:
    files, states = [], []
    for interval in (1, 4):
        engine = engine_of(interval, epochs=2, accumulation=2)
        run_folder(tmp_path / str(interval), {"network": engine.network}).attach(engine)
        engine.run()
        states.append(engine.network.state_dict())
        files.append(json.loads((tmp_path / str(interval) / "history.json").read_text()))
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    assert files[0]["epoch"] == files[1]["epoch"]
    for name, values in files[0]["terms"].items():
        assert files[1]["terms"][name] == pytest.approx(values, rel=1e-12)


def at_second(value: Tensor, count: list[int], to: float) -> Tensor:
    """A hook that spoils the second gradient."""
    count.append(0)
    return value * (to if len(count) == 2 else 1.0)


@pytest.mark.bad_input("learning")
def test_what_was_not_finite_is_told_with_its_step_when_it_is_looked_at() -> None:
    count: list[int] = []
    slope = Hooked(lambda g: at_second(g, count, math.nan))
    with pytest.raises(InputError, match=r"gradient .* the phase encoder, .* iteration 2 of epoch"):
        trainer(slope, entries(18), 3, log_interval=4).run()
    with pytest.raises(InputError, match=r"encoder/loss inf, .* at iteration 1 .* looked at after"):
        trainer(Hooked(loss=math.inf), entries(18), 3, log_interval=4).run()
    data = entries(18)
    data[7]["image"][0, 2, 3] = math.nan
    with pytest.raises(InputError, match=r"NaN or infinity in number 7 of the data .* looked at"):
        trainer(conv_method("simclr"), data, 3, log_interval=4).run()


def bad_on_rank_1() -> str:
    trainer_module.AT_ONCE = ()
    method = Hooked(loss=math.inf if torch.distributed.get_rank() else 0.0)
    with pytest.raises(InputError) as caught:
        trainer(method, entries(18), 3, log_interval=2).run()
    trainer_module.AT_ONCE = ("cpu",)
    return str(caught.value)


@pytest.mark.slow
def test_all_ranks_look_at_once_and_stop(tmp_path: Path) -> None:
    first, second = on_two_ranks(bad_on_rank_1, tmp_path)
    assert "in another process at iteration 1 of epoch 1, looked at after 2" in first
    assert "every loss must be finite, got encoder/loss inf" in second


def test_an_interval_below_one_is_refused() -> None:
    with pytest.raises(InputError, match=r"log_interval must be at least 1, got 0\.$"):
        engine_of(0)
