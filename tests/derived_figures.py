"""What the pages compute from a results file, by its name: ratios, differences, shares."""

import math
import statistics
from collections.abc import Callable
from operator import truediv
from typing import Any

__all__ = ["DERIVED"]

Result = dict[str, Any]


def fastest_peer(result: Result) -> Any:
    """Time and memory of ours and of the fastest peer, and their ratios."""
    rows: dict[str, list[Any]] = {}
    for row in result["rows"]:
        seconds, used = row["seconds"], row["bytes"]
        peers = {value: name for name, value in seconds.items() if name != "ours"}
        cells = {"size": row["size"], "ours": [seconds["ours"], used["ours"]]}
        if peers:
            best = min(peers)
            cells["peer"] = [best, used[peers[best]]]
            cells["ratios"] = {
                "faster": best / seconds["ours"],
                "smaller": used[peers[best]] / used["ours"],
            }
        rows.setdefault(str(row["size"]), []).append(cells)
    return rows


def against_inverse(result: Result) -> Any:
    """Each form of decoupled uniformity beside ours."""
    forms = []
    for row in result["rows"]:
        seconds, used = row["seconds"], row["bytes"]
        for name in seconds:
            ratios = [seconds[name] / seconds["ours"], used[name] / used["ours"]]
            cells = [seconds[name], used[name], row["values"][name]]
            forms.append({"size": row["size"], "cells": cells, "ratios": ratios})
    return forms


def last_signs(result: Result) -> Any:
    """Trials of the teacher: first and last signs, the last loss, that of a uniform output."""
    actual = []
    for trial in result["trials"].values():
        signs = list(trial["signs"].values())
        kept = [signs[0]["nearer"], signs[-1], trial["loss"][-1], trial["steps"], trial["settings"]]
        actual.append({"kept": kept, "uniform": math.log(trial["settings"]["prototypes"])})
    return actual


def losses_and_signs(result: Result) -> Any:
    """Mean signs of each setting beside the loss of its last epoch."""
    lost = result["last_loss"]
    return [
        {"signs": row, "loss": lost.get(row["model"]), "uniform": math.log(256)}
        for row in result["signs"]
    ]


def step_costs(result: Result) -> Any:
    """Of each step the median time, and the quartiles of its ratios within a repeat."""
    costs = []
    for name, values in result["milliseconds"].items():
        alternate = "M alternate, no labels" if "no labels" in name else "M alternate"
        peers = [result["milliseconds"][peer] for peer in ("random", alternate)]
        ratios = [statistics.quantiles(map(truediv, values, peer), n=4) for peer in peers]
        more = [middle - 1 for _, middle, _ in ratios]
        costs.append({"ms": statistics.median(values), "ratios": ratios, "more": more})
    return costs


def of_windows(result: Result) -> Any:
    """How many times the time of ours the others take."""
    actual = []
    for case in result["cases"].values():
        ours, *others = case["seconds"].values()
        actual.append({"seconds": [ours, *others], "ratios": [other / ours for other in others]})
    return actual


def of_biased_digits(result: Result) -> Any:
    """How much further apart a class lies over colours; what the released form is ahead by."""
    apart = [
        row["distances"]["positive_conflicting"] / row["distances"]["positive_aligned"]
        for row in result["rows"]
    ]
    accuracy = {(row["method"], row["ratio"]): row["accuracy"]["mean"] for row in result["rows"]}
    others = ("fairkl_moments", "fairkl_paper")
    ahead = [accuracy["fairkl_released", "0.997"] - accuracy[name, "0.997"] for name in others]
    return {"apart": apart, "more": [ratio - 1 for ratio in apart], "ahead": ahead}


def worth_of(suffix: str) -> Callable[[Result], Any]:
    """Mean error of every model, and by how much it differs from the one with a suffix."""

    def derive(result: Result) -> Any:
        mean = {
            name: statistics.mean(model["mae_per_seed"]) for name, model in result["models"].items()
        }
        pairs = [(mean[name], mean[name + suffix]) for name in mean if name + suffix in mean]
        return {"mean": list(mean.values()), "worth": [[abs(a - b)] for a, b in pairs]}

    return derive


DERIVED: dict[str, Callable[[Result], Any]] = {
    "biased_mnist": of_biased_digits,
    "brain_age_ixi": worth_of(", moved copies"),
    "brain_age_ixi_one_view": worth_of(", no augmentation"),
    "cost_of_m_48px": step_costs,
    "cost_of_m_64px": step_costs,
    "crop_windows": of_windows,
    "decoupled_uniformity": against_inverse,
    "fundus_dino": losses_and_signs,
    "fundus_dino_trials": last_signs,
    "losses": fastest_peer,
    "strategies_ixi": lambda result: [math.log(31)],  # of 31 negatives that nothing tells apart
}
