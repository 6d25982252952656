"""Run folders for the report: results of tiny evaluations, their figures moved by strategy."""

import json
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import torch

from common.evaluation import (
    AccuracyEvaluation,
    CaseControlEvaluation,
    ChallengeEvaluation,
    ClustersEvaluation,
    GroupFigure,
    MacroAUROCEvaluation,
    ProbeProtocol,
)
from common.policies import EachWithProbability, UniformCrops
from common.transforms import Composition
from tests.commands import ROOT
from tests.common.evaluation import test_channel as channels
from tests.common.evaluation import test_clusters as clusters
from tests.common.evaluation import test_kinds as tiny
from tests.common.evaluation import test_run as linear
from tests.common.evaluation import test_sgd_probe as probes
from tests.tiny import conv_method

#        strategy: what its figures are multiplied by
AGES = {"l1": 1.3, "y_aware": 1.1, "exponential": 1.0, "threshold": 1.2}
CLASSES = {"ce": 0.4, "sup_info_nce": 0.5, "fairkl_released": 0.95}
CASES = {"scratch": 0.9, "y_aware": 1.0}
AUROC = {"strong": 0.8, "weak": 0.95, "weak_med": 0.78}
AUCS = {
    "supervised_100": 0.93,
    "supervised_10": 0.78,
    "base_simclr": 0.73,
    "random": 0.83,
    "random_supervised": 0.86,
    "self_supervised": 0.81,
    "self_supervised_supervised": 0.91,
}
CONFIGS = [json.loads(path.read_text()) for path in ROOT.glob("bundles/*/configs/*.json")]
TITLES = {c["strategy"]: c["title"] for c in CONFIGS if "title" in c}
NAMES = list(Composition().names)
BASELINES = {"pixels": {"auc_mean": 0.687}, "untrained": {"auc_mean": 0.662}}
ERRORS = {"mae_internal", "mae_external", "lc"}
SHARES = {"bacc_internal", "accuracy", "accuracy_aligned", "accuracy_conflicting"}
SHARES |= {"accuracy_unbiased"} | {
    "auc_internal", "auc_external", "auc", "auroc", "aupr", "sensitivity", "specificity", "exact",
}  # fmt: skip


def _challenge() -> tuple[Any, dict[str, Any]]:
    test = tiny.INTERNAL + tiny.EXTERNAL
    return ChallengeEvaluation, {"training": tiny.TRAIN, "test": test, "site_names": list("abcde")}


def _accuracy() -> tuple[Any, dict[str, Any]]:
    return AccuracyEvaluation, {"training": tiny.BIASED, "batches": tiny.FAIR, "outputs": 3}


def _case_control() -> tuple[Any, dict[str, Any]]:
    return CaseControlEvaluation, {"training": tiny.TRAIN, "test": tiny.INTERNAL + tiny.EXTERNAL}


def _macro_auroc() -> tuple[Any, dict[str, Any]]:
    protocol = ProbeProtocol(side=6, epochs=3, batch_size=8, learning_rate=8.0, seeds=3)
    figure = GroupFigure(probes.Shaken(), features=6, images=12, repeats=3)
    given = {"sets": probes.SETS[:2], "protocol": protocol, "figure": figure, "outputs": 3}
    return MacroAUROCEvaluation, given


def _clusters() -> tuple[Any, dict[str, Any]]:
    given = {"training": clusters.TRAIN, "batches": clusters.TEST, "clusters": [3, 2]}
    return ClustersEvaluation, given | {"outputs": 3, "starts": 1, "seeds": 1}


@cache
def _evaluated(make: Callable[[], tuple[Any, dict[str, Any]]]) -> Path:
    """The run folder of a tiny evaluation, made once."""
    kind, arguments = make()
    return tiny.Study(Path(tempfile.mkdtemp()), kind, **arguments).folder / "run"


@cache
def _channel(uniform: bool) -> Path:
    """The run folder of an encoder of crops whose channel is as drawn, or chooses evenly."""
    channel = UniformCrops(channels.GRID) if uniform else None
    return channels.Study(Path(tempfile.mkdtemp()), channel).folder / "run"


def write_channel_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """Copy the result as that of a strategy; `changes` replace keys of the block "channel"."""
    copytree(_channel(strategy.startswith("simclr")), folder)
    path = folder / "evaluation.json"
    values = _moved(json.loads(path.read_text()), 1 - 0.1 * seed)
    values |= {"strategy": strategy, "seed": seed, "channel": values["channel"] | changes}
    values["settings"] |= {"strategy": strategy, "title": TITLES[strategy]}
    path.write_text(json.dumps(values))
    return folder


def _moved(value: Any, factor: float, key: str = "") -> Any:
    """A result with its figures, and the ends of their intervals, multiplied."""
    if isinstance(value, dict):
        return {k: v if k == "baselines" else _moved(v, factor, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_moved(each, factor, key) for each in value]
    if key in ERRORS and value is not None:
        return factor * value
    return min(1.0, factor * value) if key in SHARES and value is not None else value


def _writer(make: Callable[[], Any], factors: dict[str, float]) -> Callable[..., Path]:
    def write(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
        """Copy the result as that of a strategy; `changes` replace keys of evaluation.json."""
        copytree(_evaluated(make), folder)
        path = folder / "evaluation.json"
        values = json.loads(path.read_text())
        values = _moved(values, factors.get(strategy, 1.0) * (1 - 0.01 * seed))
        settings = {"epochs": 12, "strategy": strategy, "title": TITLES.get(strategy, "")}
        values |= {"strategy": strategy, "seed": seed, "settings": settings} | changes
        path.write_text(json.dumps(values))
        _write_history(folder, ["encoder/loss"])
        return folder

    return write


write_age_run = _writer(_challenge, AGES)
write_classes_run = _writer(_accuracy, CLASSES)
write_cases_run = _writer(_case_control, CASES)
write_probe_run = _writer(_macro_auroc, AUROC)
write_clusters_run = _writer(_clusters, {})


@cache
def _linear(policy: str) -> Path:
    """The run folder of a linear evaluation of a network with some policy."""
    folder = Path(tempfile.mkdtemp())
    torch.manual_seed(1)
    network = conv_method("learned" if policy == "learned" else "simclr")
    if policy == "each":
        network.policy = EachWithProbability(0.5)
    with torch.no_grad():  # M as a training leaves it that ignores the image
        for parameter in network.policy.parameters():
            parameter.mul_(0.1)
    linear.write_record(folder / "run", linear.SETTINGS)
    for epoch in (1, 10, 25):
        torch.save(network.state_dict(), folder / "run" / f"network_epoch={epoch}.pt")
    linear.evaluation(folder, network).run()
    return folder / "run"


def write_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """Copy the result of a linear evaluation; `changes` replace keys of evaluation.json."""
    each = strategy.startswith(("base", "supervised"))
    learned = "learned" if strategy.startswith("self_supervised") else "random"
    copytree(_linear("each" if each else learned), folder)
    path = folder / "evaluation.json"
    values = json.loads(path.read_text())
    auc = AUCS.get(strategy, 0.8) + 0.012 * (seed - 1)
    for epoch in values["epochs"]:
        epoch["auc_mean"] = 0.6 + (auc - 0.6) * epoch["epoch"] / 25
    values["interval"] |= {"low": auc - 0.03, "high": auc + 0.02}
    values |= {"strategy": strategy, "seed": seed, "auc_mean": auc, "baselines": BASELINES}
    titled = {"strategy": strategy, "title": TITLES.get(strategy, "")}
    values["settings"] |= {**titled, "seed": seed}
    path.write_text(json.dumps(values | changes))
    names = ["encoder/loss", "encoder/contrastive", "encoder/transformed_bce"]
    names += ["policy/loss", "policy/contrastive"] if learned == "learned" else []
    _write_history(folder, [*names, "loss"])
    return folder


def write_study(folder: Path, seeds: int = 3) -> list[Path]:
    """Seven strategies, some seeds each."""
    return [
        write_run(folder / f"{strategy}_seed{seed}", strategy, seed)
        for strategy in AUCS
        for seed in range(seeds)
    ]


def _write_history(folder: Path, names: list[str]) -> None:
    epoch = np.arange(1, 51)
    terms = {name: (2 + np.exp(-epoch / 9)).round(4).tolist() for name in names}
    (folder / "history.json").write_text(json.dumps({"epoch": epoch.tolist(), "terms": terms}))
