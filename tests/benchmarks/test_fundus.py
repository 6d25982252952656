"""The comparison on fundus photographs leaves tested people out, and its signs are right."""

import importlib
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = {"image": 24, "global": 16, "local": 8, "patch": 8, "width": 8, "prototypes": 8} | {
    "hidden": 8,
    "bottleneck": 4,
    "batch": 8,
    "epochs": 1,
    "warmup": 0,
    "probe_epochs": 1,
}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    settings = importlib.import_module("fundus_teacher").SETTINGS
    for key, value in TINY.items():
        monkeypatch.setitem(settings, key, value)
    return importlib.import_module("fundus_dino")


@pytest.fixture
def signs(benchmark: ModuleType) -> ModuleType:
    return importlib.import_module("fundus_signs")


def eyes(benchmark: ModuleType, people: int = 20) -> object:
    """Noise; two photographs of each person, every second person of grade 2 or more."""
    count = 2 * people
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.integers(0, 256, (count, 3, 24, 24), dtype=np.uint8))
    person = np.array([f"{k // 2:03d}" for k in range(count)])
    fold = importlib.import_module("fundus_eyes").folds(person)
    return benchmark.Eyes(x, x[:, :, :16, :16], np.arange(count) // 2 % 2, person, fold)


def weights(network: torch.nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_pretraining_sees_no_photograph_of_a_tested_person(benchmark: ModuleType) -> None:
    data = eyes(benchmark)
    parts = importlib.import_module("fundus_eyes").parts(data, 1)
    assert not set(data.person[parts.test]) & set(data.person[parts.rest])
    changed = data.x.clone()
    changed[torch.from_numpy(parts.test)] = 0
    one, other = (benchmark.pretrain(data._replace(x=x), "weak", 1)[0] for x in (data.x, changed))
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(benchmark.method("weak", 1)))


def test_the_weights_at_the_start_are_the_same_for_all_augmentations(
    benchmark: ModuleType,
) -> None:
    one, other, third = (
        benchmark.method(strength, seed)
        for strength, seed in (("weak", 0), ("strong", 0), ("weak", 1))
    )
    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(third))


def test_neighbours_are_mutual_where_the_views_of_a_photograph_are_alike(
    signs: ModuleType,
) -> None:
    one = torch.tensor([[0.0, 3.0], [0.0, -3.0], [3.0, 0.0], [-3.0, 0.0]])
    assert signs.neighbours(one, one) == {"mutual": 1.0, "nearer": 1.0}
    # the first two stay; the last two are swapped, and so the farthest from their own
    actual = signs.neighbours(one, one[[0, 1, 3, 2]])
    assert actual == {"mutual": 0.5, "nearer": 0.5}


@pytest.mark.parametrize("sharp", [False, True])
def test_a_teacher_that_gives_all_photographs_one_output_has_equal_entropies(
    benchmark: ModuleType, signs: ModuleType, sharp: bool
) -> None:
    network = benchmark.method("weak", 0)
    last = network.teacher.module.head.last_layer
    last.weight_v.data[:] = last.weight_v.data[:1].clone()  # all prototypes alike
    network.loss.center[0, 0] = -10.0 if sharp else 0.0
    actual = signs.signs(network, eyes(benchmark).x, "weak")
    expected = 0.0 if sharp else math.log(8)
    assert actual["entropy"] == pytest.approx(expected, abs=1e-5)
    assert actual["entropy of mean"] == pytest.approx(expected, abs=1e-5)


def test_reading_the_signs_changes_neither_draws_nor_network(
    benchmark: ModuleType, signs: ModuleType
) -> None:
    network = benchmark.method("weak", 0)
    before, drawn = weights(network), torch.get_rng_state()
    network.train()
    first = signs.signs(network, eyes(benchmark).x, "weak")
    assert network.training
    assert torch.equal(drawn, torch.get_rng_state())
    assert torch.equal(before, weights(network))
    assert first == signs.signs(network, eyes(benchmark).x, "weak")


def test_the_comparison_writes_all_figures_and_keeps_finished_runs(
    benchmark: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.import_module("fundus_figures"), "DRAWS", 20)
    data = eyes(benchmark, people=45)
    benchmark.compare(data, tmp_path, ["strong", "weak"], [0, 1])
    result = json.loads((tmp_path / "fundus_dino.json").read_text())
    assert {row["model"] for row in result["auroc"]} == {"pixels", "untrained", "strong", "weak"}
    rows = [(row["model"], row["views"]) for row in result["signs"]]
    assert rows == [("untrained", "weak"), ("strong", "strong"), ("strong", "weak"), ("weak",) * 2]
    written = (tmp_path / "weak 1.json").stat().st_mtime_ns
    benchmark.compare(data, tmp_path, ["strong", "weak"], [0, 1])
    assert (tmp_path / "weak 1.json").stat().st_mtime_ns == written
    assert "weak - strong" in capsys.readouterr().out


def test_a_trial_changes_the_settings_for_itself_alone(
    benchmark: ModuleType, signs: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = dict(benchmark.SETTINGS)
    assert all(set(own) <= {*usual, "strength"} for own in signs.TRIALS.values())
    monkeypatch.setattr(signs, "load", lambda *_: eyes(benchmark))
    monkeypatch.setitem(signs.TRIALS, "two", {"epochs": 2, "strength": "strong"})
    tried = signs.trial(Path(), "two")
    assert usual == benchmark.SETTINGS
    assert (tried["strength"], len(tried["loss"])) == ("strong", 2)
    assert list(tried["signs"]) == ["0", "1", "2"]
    assert f"{tried['loss'][-1]:.3f} of {math.log(8):.3f}" in signs.table({"two": tried})
