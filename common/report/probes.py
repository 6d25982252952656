"""Sections on probes trained by SGD: figures, train set by test set, whether settings differ."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from common.report.groups import Group, group_runs
from common.report.markup import figure_table, paragraph, section, swatch
from common.report.probe_run import FIGURES, ProbeRow, ProbeRun
from common.report.repeated_measures import Anova, repeated_measures_anova
from common.report.runs import Run, finite_mean

HEADS = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
}


def table(runs: Sequence[Run]) -> str:
    """A row a strategy, a column a figure, with intervals; beside them the other reading."""
    rows = []
    for group in group_runs(runs):
        own = [probe.rows[0] for probe in _probes(group.runs)]
        logistic = finite_mean([probe.logistic for probe in _probes(group.runs)])
        cells = [_with_ends(own, name) for name in FIGURES]
        rows.append((swatch(group.colour, group.name), [*cells, f"{logistic:.3f}"]))
    heads = [*(HEADS[name] for name in FIGURES), "AUROC, logistic regression"]
    left_out = ", ".join(sorted({probe.left_out for probe in _probes(runs)} - {""}))
    note = (
        "Means over the seeds of the probe (and of the runs), in parentheses the 95 % interval "
        "over test patients and seeds. AUROC and AUPR: each class against all others, averaged. "
        "Sensitivity, specificity and accuracy: of the most probable class, averaged over all "
        f"classes{left_out and ' but '}{left_out}. Last column: a logistic regression on the same "
        "frozen features, as the baselines are read."
    )
    heading = "Figures on the test part"
    return section(
        "probe-figures", heading, figure_table("strategy", heads, rows), paragraph(note, "note")
    )


def matrix(runs: Sequence[Run]) -> str:
    """AUROC by train set and test set; nothing where there is one data set only."""
    groups = group_runs(runs)
    cells: dict[tuple[str, str], dict[str, list[ProbeRow]]] = {}
    for group in groups:
        for row in (row for probe in _probes(group.runs) for row in probe.rows):
            of_pair = cells.setdefault((row.training, row.test), {})
            of_pair.setdefault(group.key, []).append(row)
    if len(cells) < 2:
        return ""
    rows = [
        (
            swatch(group.colour, group.name),
            [_with_ends(of_pair.get(group.key, []), "auroc") for of_pair in cells.values()],
        )
        for group in groups
    ]
    heads = [
        f"{training} (internal)" if training == test else f"{training} → {test}"
        for training, test in cells
    ]
    note = (
        "Macro AUROC of the probe trained on the first data set, on the test part of the second; "
        "only data sets of the same classes are tested on each other."
    )
    return section(
        "data-sets",
        "Train set by test set",
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
    )


def differences(runs: Sequence[Run]) -> str:
    """Repeated-measures analysis of variance over the seeds, of all strategies and in pairs."""
    shared = _shared(group_runs(runs))
    if shared is None:
        return ""
    groups, scores = shared
    every = repeated_measures_anova(scores)
    rows = []
    for i, j in combinations(range(len(groups)), 2):
        found = repeated_measures_anova(scores[:, [i, j]])
        gap = float((scores[:, i] - scores[:, j]).mean())
        cells = [f"{gap:+.3f}".replace("-", "−"), *_told(found)]
        rows.append((f"{_name(groups[i])} − {_name(groups[j])}", cells))
    words = ""
    if len(groups) > 2:
        f, p = _told(every)
        words = f"All {len(groups)} strategies: F = {f}, p {'' if p[0] == '<' else '= '}{p}."
    note = (
        f"Repeated-measures analysis of variance of the macro AUROC over {len(scores)} seeds that "
        "all strategies share, degrees of freedom in parentheses. It says whether the seeds, of "
        "the probe on one encoder, agree on the difference; with few test patients, or one "
        "pre-training each, a small p is no evidence that the augmentation made it. Not corrected "
        "for several comparisons."
    )
    return section(
        "differences",
        "Do the strategies differ?",
        paragraph(words) if words else "",
        figure_table("difference", ["AUROC", "F", "p"], rows),
        paragraph(note, "note"),
    )


def _name(group: Group) -> str:
    return swatch(group.colour, group.name)


def _told(found: Anova) -> tuple[str, str]:
    if not math.isfinite(found.f):
        return "–", "–"
    first, second = found.degrees
    return f"{found.f:.2f} ({first}, {second})", "< 0.001" if found.p < 0.001 else f"{found.p:.3f}"


def _probes(runs: Sequence[Run]) -> list[ProbeRun]:
    return [run.probe for run in runs if run.probe is not None]


def _with_ends(rows: Sequence[ProbeRow], name: str) -> str:
    mean = finite_mean([row.figures[name] for row in rows])
    if not math.isfinite(mean):
        return "–"
    low, high = (finite_mean([row.ends[name][end] for row in rows]) for end in (0, 1))
    return f"{mean:.3f} ({low:.3f}–{high:.3f})" if math.isfinite(low) else f"{mean:.3f}"


def _shared(groups: Sequence[Group]) -> tuple[list[Group], NDArray[np.float64]] | None:
    """AUROC ``(seeds, strategies)`` of the seeds, of run and probe, that all strategies have."""
    found = {
        group.key: {
            (run.seed, seed): value
            for run in group.runs
            if run.probe is not None
            for seed, value in enumerate(run.probe.rows[0].seeds)
            if math.isfinite(value)
        }
        for group in groups
    }
    common = set.intersection(*(set(values) for values in found.values()))
    if len(groups) < 2 or len(common) < 2:
        return None
    scores = np.array([[found[g.key][seed] for g in groups] for seed in sorted(common)])
    return list(groups), scores
