"""Signs, read without labels on the training photographs, of whether DINO has learnt anything.

Two views of every photograph, as the teacher's global views are drawn, give

- ``entropy``: of the teacher's centred softmax, mean over views. 0: each view has one prototype;
  log(prototypes): the teacher tells nothing apart.
- ``entropy of mean``: of its mean over all views. Equal to ``entropy`` where the teacher gives all
  photographs the same output, however sharp: both collapses show as a difference of 0, which is the
  mutual information of photograph and prototype.
- ``mutual``: share of photographs whose two views are each other's nearest among the views of the
  other kind; by the cosine of the last class token, each feature standardised over the views.
- ``nearer``: chance that a view is nearer to the other one of its photograph than to that of
  another photograph; 0.5 where the views have nothing in common.

Beside them the loss of the last epoch, which is log(prototypes) where nothing is learnt. `TRIALS`
are the settings that were compared by these signs, and by nothing else, before any probe was run.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from fundus_eyes import load
from fundus_teacher import SETTINGS, method, pretrain, unlabelled, views
from paired_runs import markdown
from torch import Tensor

from common.methods import DINO

SHORT = {"epochs": 30, "warmup": 3}
TRIALS: dict[str, dict[str, Any]] = {
    "rates of before": SHORT
    | {"teacher_temperature": 0.04, "momentum": 0.99, "rate": 1e-3, "gain": 1.0, "blur": 2.0},
    "teacher at 0.04": SHORT | {"teacher_temperature": 0.04},
    "teacher at 0.01": SHORT | {"teacher_temperature": 0.01},
    "gain 4": SHORT | {"gain": 4.0},
    "gain 1, momentum 0.99": {"epochs": 40, "warmup": 4, "gain": 1.0, "momentum": 0.99},
    "rate 0.0015": {"rate": 1.5e-3},
    "chosen": {},
    "short, strong": SHORT | {"strength": "strong"},
}


@torch.no_grad()
def signs(network: DINO, x: Tensor, strength: str) -> dict[str, float]:
    """The signs of the photographs ``x (N, 3, H, W)``, bytes; leaves the network and draws alone.

    Args:
        network: before, in or after training.
        x: photographs.
        strength: whose global views are drawn; always the same ones.
    """
    training = network.training
    network.eval()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        groups = views(strength).get_parsed_content("global_views")
        drawn = [[group(part.float() / 255)[0] for part in x.split(64)] for group in groups]
    logits = torch.cat([network.teacher([view]) for parts in drawn for view in parts])
    tokens = [torch.cat([network.classifier.encoder(view) for view in parts]) for parts in drawn]
    network.train(training)
    q = ((logits - network.loss.center) / network.loss.teacher_temperature).softmax(dim=1)
    width = SETTINGS["width"]
    return {
        "entropy": float(entropy(q).mean()),
        "entropy of mean": float(entropy(q.mean(dim=0))),
        **neighbours(tokens[0][:, -width:], tokens[1][:, -width:]),
    }


def entropy(q: Tensor) -> Tensor:
    """Entropy in nats of distributions ``(..., K)``."""
    return torch.special.entr(q).sum(dim=-1)


def neighbours(one: Tensor, other: Tensor) -> dict[str, float]:
    """``mutual`` and ``nearer`` of the features (N, F) of two views of N photographs."""
    units = []
    for h in (one, other):
        centred = h - h.mean(dim=0)
        scaled = centred / centred.std(dim=0).clamp_min(1e-9)
        units.append(torch.nn.functional.normalize(scaled, dim=1))
    likeness = units[0] @ units[1].T
    rows = torch.arange(len(one))
    own = likeness.diagonal().unsqueeze(1)
    both = (likeness.argmax(1) == rows) & (likeness.argmax(0) == rows)
    others = (likeness < own).double().sum(dim=1) / (len(one) - 1)
    return {"mutual": float(both.double().mean()), "nearer": float(others.mean())}


def trial(data: Path, name: str) -> dict[str, Any]:
    """Train by the settings of a trial without the people of seed 0; signs of every tenth of it."""
    usual, own = dict(SETTINGS), dict(TRIALS[name])
    strength = own.pop("strength", "weak")
    SETTINGS.update(own)
    eyes = load(data, SETTINGS["image"], SETTINGS["global"])
    x = unlabelled(eyes, 0)
    by_epoch = {"0": signs(method(strength, 0), x, strength)}
    every = max(SETTINGS["epochs"] // 10, 1)

    def watch(network: DINO, epoch: int) -> None:
        if epoch % every == 0 or epoch == SETTINGS["epochs"]:
            by_epoch[str(epoch)] = signs(network, x, strength)

    _, history = pretrain(eyes, strength, 0, watch)
    tried = {"strength": strength, "settings": dict(SETTINGS), "signs": by_epoch, **history}
    SETTINGS.update(usual)
    return tried


def table(trials: Mapping[str, Any]) -> str:
    """Last loss and signs of every trial, as Markdown."""
    rows = []
    for name, tried in trials.items():
        uniform = math.log(tried["settings"]["prototypes"])
        last = list(tried["signs"].values())[-1]
        cells = [f"{tried['loss'][-1]:.3f} of {uniform:.3f}", *(f"{v:.3f}" for v in last.values())]
        first = f"{tried['signs']['0']['nearer']:.3f}"
        rows.append([name, tried["strength"], str(tried["steps"]), *cells, first])
    names = ["entropy", "entropy of mean", "mutual", "nearer", "nearer, untrained"]
    return markdown(["trial", "views", "steps", "loss of log(prototypes)", *names], rows)
