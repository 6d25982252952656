"""AUROC of the runs of `fundus_dino`, intervals over people and seeds, tests, tables."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fundus_eyes import Eyes, parts
from paired_runs import DRAWS, markdown, mean_and_spread

from common.metrics.patient_bootstrap import auc
from common.report.repeated_measures import repeated_measures_anova

Array = np.ndarray
STRENGTHS = ("strong", "weak", "weak_med")
PROBES = ("SGD", "logistic")
PAIRS = (
    ("weak", "strong"),
    ("weak_med", "weak"),
    ("weak_med", "strong"),
    *((strength, "untrained") for strength in STRENGTHS),
)


def figures(eyes: Eyes, runs: Mapping[str, list[Any]], seeds: Sequence[int]) -> dict[str, Any]:
    """AUROC of every model and probe over the seeds, with draws of people and seeds."""
    tested = [parts(eyes, seed).test for seed in seeds]
    columns = {
        (model, probe): [np.array(one[probe]) for one in own]
        for model, own in runs.items()
        for probe in PROBES
        if probe in own[0]
    }
    generator = np.random.default_rng(0)
    members = [
        [np.flatnonzero(eyes.person[rows] == name) for name in np.unique(eyes.person[rows])]
        for rows in tested
    ]
    drawn: dict[Any, list[float]] = {name: [] for name in columns}
    for _ in range(DRAWS):
        chosen = generator.integers(len(seeds), size=len(seeds))
        own = [
            np.concatenate([members[k][i] for i in generator.integers(len(m), size=len(m))])
            for k, m in enumerate(members)
        ]
        for name, scores in columns.items():
            areas = [auc(eyes.y[tested[k]][own[k]], scores[k][own[k]]) for k in set(chosen)]
            place = dict(zip(set(chosen), areas))
            drawn[name].append(float(np.mean([place[k] for k in chosen])))
    areas_of = {
        name: [auc(eyes.y[rows], score) for rows, score in zip(tested, scores)]
        for name, scores in columns.items()
    }
    return {"areas": areas_of, "drawn": {name: np.array(row) for name, row in drawn.items()}}


def interval(values: Array) -> list[float]:
    return np.quantile(values, [0.025, 0.975]).tolist()


def summary(eyes: Eyes, runs: Mapping[str, list[Any]], seeds: Sequence[int]) -> dict[str, Any]:
    both = figures(eyes, runs, seeds)
    areas, drawn = both["areas"], both["drawn"]
    rows = [
        {"model": model, "probe": probe, "per_seed": areas[model, probe]}
        | {"interval": interval(drawn[model, probe])}
        for model, probe in areas
    ]
    differences, tests = [], {}
    for probe in PROBES:
        for one, other in PAIRS:
            if one in runs and other in runs:
                a, b = (one, probe), (other, probe)
                row: dict[str, Any] = {"minus": [one, other], "probe": probe}
                row["per_seed"] = (np.array(areas[a]) - np.array(areas[b])).tolist()
                row["interval"] = interval(drawn[a] - drawn[b])
                row["p"] = tested(areas, probe, (other, one))["p"]
                differences.append(row)
        tests[probe] = tested(areas, probe, [name for name in STRENGTHS if name in runs])
    losses = {
        model: [one["loss"][-1] for one in own] for model, own in runs.items() if own[0].get("loss")
    }
    compared = {"auroc": rows, "differences": differences, "anova": tests}
    fig2, signs = of_views(runs, "views "), of_views(runs, "signs ")
    return {**compared, "fig2": fig2, "signs": signs, "last_loss": losses}


def tested(areas: Mapping[Any, list[float]], probe: str, models: Sequence[str]) -> dict[str, Any]:
    """Repeated-measures analysis of variance over the seeds, where there are two of each."""
    y = np.array([areas[model, probe] for model in models]).T
    if min(y.shape) < 2:
        return {"f": None, "degrees": None, "p": None}
    anova = repeated_measures_anova(y)
    return {"f": anova.f, "degrees": list(anova.degrees), "p": anova.p}


def of_views(runs: Mapping[str, list[Any]], kind: str) -> list[dict[str, Any]]:
    """Figures of every model with views of its own and the weak augmentation, mean over seeds."""
    return [
        {"model": model, "views": name.removeprefix(kind)}
        | {key: float(np.mean([one[name][key] for one in own])) for key in own[0][name]}
        for model, own in runs.items()
        for name in own[0]
        if name.startswith(kind)
    ]


def report(result: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    rows = [
        [r["model"], r["probe"], mean_and_spread(r["per_seed"], 3), span(r["interval"])]
        for r in result["auroc"]
    ]
    differences = [
        [
            " - ".join(r["minus"]),
            r["probe"],
            f"{np.mean(r['per_seed']):+.3f}",
            span(r["interval"], "+"),
            "" if r["p"] is None else f"{r['p']:.2f}",
        ]
        for r in result["differences"]
    ]
    uniform = np.log(result["settings"]["prototypes"])
    losses = [[model, mean_and_spread(each, 3)] for model, each in result["last_loss"].items()]
    last = f"loss of the last epoch (of a uniform head: {uniform:.3f})"
    return "\n\n".join(
        [
            markdown(["model", "probe", "AUROC (std over seeds)", "95 %"], rows),
            markdown(["difference", "probe", "AUROC", "95 %", "p"], differences),
            rows_of_views(result["fig2"]),
            rows_of_views(result["signs"]),
            markdown(["model", last], losses),
        ]
    )


def rows_of_views(figures: Sequence[Mapping[str, Any]]) -> str:
    rows = [[f"{v:.3f}" if isinstance(v, float) else v for v in r.values()] for r in figures]
    return markdown(list(figures[0]), rows)


def span(ends: Sequence[float], sign: str = "") -> str:
    return f"{ends[0]:{sign}.3f} to {ends[1]:{sign}.3f}"
