"""Sections on probes trained by SGD: figures, train set by test set, whether settings differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from common.report import calls, training, view_groups
from common.report.calls import Calls
from common.report.groups import Group, group_runs
from common.report.kind import Epoch, Interval, Kind, Measure, Result
from common.report.markup import Markup, figure_table, paragraph, section, swatch
from common.report.repeated_measures import Anova, repeated_measures_anova
from common.report.run import Run, finite_mean, results
from common.report.schema import Ends, Share, Text, refuse
from common.report.view_groups import Groups

HEADS = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
}


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of class probabilities, None where the images allow none."""

    auroc: Share | None
    aupr: Share | None
    sensitivity: Share | None
    specificity: Share | None
    accuracy: Share | None
    exact: Share | None


@dataclass(frozen=True, kw_only=True)
class FigureEnds:
    """The two ends of each."""

    auroc: Ends
    aupr: Ends
    sensitivity: Ends
    specificity: Ends
    accuracy: Ends
    exact: Ends


@dataclass(frozen=True, kw_only=True)
class MacroInterval(FigureEnds, Interval):
    """Those of the run's own figures."""


@dataclass(frozen=True, kw_only=True)
class Seed(Figures):
    """Figures of one probe and the epoch it was kept at; None of the network's own head."""

    epoch: int | None = None


@dataclass(frozen=True, kw_only=True)
class Row(Figures):
    """A probe trained on one data set and scored on another, or on the same.

    Figures are means over the probe's seeds.
    """

    training: Text
    test: Text
    interval: FigureEnds
    seeds: tuple[Seed, ...]


@dataclass(frozen=True, kw_only=True)
class MacroEpoch(Epoch):
    """The figure of one epoch."""

    auroc: Share


@dataclass(frozen=True, kw_only=True)
class Regression:
    """What a logistic regression reaches."""

    auroc: Share
    aupr: Share | None = None


@dataclass(frozen=True, kw_only=True)
class MacroAUROC(Result, Figures):
    """A run judged by the macro AUROC of a probe trained by SGD, or of its own head.

    Attributes:
        deployed_head: "trained" or "refitted".
        classes: their names.
        left_out: the class that sensitivity, specificity and accuracy leave out, None for none.
        matrix: the first row is that of the run's own figure.
        logistic: the baselines' reading of the trained encoder.
        groups: None where they were left out.
        calls: of the deployed head: which class is taken for which, and how surely.
    """

    deployed_head: Text
    classes: tuple[str, ...]
    left_out: Text | None
    auroc: Share
    interval: MacroInterval
    matrix: tuple[Row, ...]
    epochs: tuple[MacroEpoch, ...]
    logistic: Regression
    baselines: dict[str, Regression] = field(default_factory=dict)
    groups: Groups | None
    calls: Calls | None = None

    def __post_init__(self) -> None:
        if not self.matrix:
            refuse("matrix", "one row or more")


def table(runs: Sequence[Run]) -> Markup:
    """A row a strategy, a column a figure, with intervals; beside them the other reading."""
    rows = []
    for group in group_runs(runs):
        own = [result.matrix[0] for result in results(group.runs, MacroAUROC)]
        logistic = finite_mean(
            [result.logistic.auroc for result in results(group.runs, MacroAUROC)]
        )
        cells = [_with_ends(own, name) for name in HEADS]
        rows.append((swatch(group.colour, group.name), [*cells, f"{logistic:.3f}"]))
    heads = [*HEADS.values(), "AUROC, logistic regression"]
    left_out = ", ".join(
        sorted({result.left_out or "" for result in results(runs, MacroAUROC)} - {""})
    )
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


def matrix(runs: Sequence[Run]) -> Markup:
    """AUROC by train set and test set; nothing where there is one data set only."""
    groups = group_runs(runs)
    cells: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for group in groups:
        for row in (row for result in results(group.runs, MacroAUROC) for row in result.matrix):
            of_pair = cells.setdefault((row.training, row.test), {})
            of_pair.setdefault(group.key, []).append(row)
    if len(cells) < 2:
        return Markup()
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


def differences(runs: Sequence[Run]) -> Markup:
    """Repeated-measures analysis of variance over the seeds, of all strategies and in pairs."""
    shared = _shared(group_runs(runs))
    if shared is None:
        return Markup()
    groups, scores = shared
    every = repeated_measures_anova(scores)
    rows = []
    for i, j in combinations(range(len(groups)), 2):
        anova = repeated_measures_anova(scores[:, [i, j]])
        gap = float((scores[:, i] - scores[:, j]).mean())
        cells = [f"{gap:+.3f}".replace("-", "−"), *_told(anova)]
        rows.append((_name(groups[i]) + " − " + _name(groups[j]), cells))
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


def _name(group: Group) -> Markup:
    return swatch(group.colour, group.name)


def _told(anova: Anova) -> tuple[str, str]:
    if not math.isfinite(anova.f):
        return "–", "–"
    first, second = anova.degrees
    return f"{anova.f:.2f} ({first}, {second})", "< 0.001" if anova.p < 0.001 else f"{anova.p:.3f}"


def _known(rows: Sequence[Row], name: str) -> list[float]:
    return [value for row in rows if (value := getattr(row, name)) is not None]


def _with_ends(rows: Sequence[Row], name: str) -> str:
    mean = finite_mean(_known(rows, name))
    if not math.isfinite(mean):
        return "–"
    low, high = (finite_mean([getattr(row.interval, name)[end] for row in rows]) for end in (0, 1))
    return f"{mean:.3f} ({low:.3f}–{high:.3f})" if math.isfinite(low) else f"{mean:.3f}"


def _shared(groups: Sequence[Group]) -> tuple[list[Group], NDArray[np.float64]] | None:
    """AUROC ``(seeds, strategies)`` of the seeds, of run and probe, that all strategies have."""
    by_strategy = {
        group.key: {
            (run.seed, number): seed.auroc
            for run in group.runs
            if isinstance(run.result, MacroAUROC)
            for number, seed in enumerate(run.result.matrix[0].seeds)
            if seed.auroc is not None
        }
        for group in groups
    }
    common = set.intersection(*(set(values) for values in by_strategy.values()))
    if len(groups) < 2 or len(common) < 2:
        return None
    scores = np.array([[by_strategy[g.key][seed] for g in groups] for seed in sorted(common)])
    return list(groups), scores


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    return (
        "AUROC is the chance that the model ranks a randomly chosen image of a class above one of "
        "another class: 0.5 is guessing, 1 is perfect. The macro AUROC is its mean over the "
        "classes, so that a rare class counts as much as a frequent one.",
        "The encoder was trained without labels and frozen (unless it was fine-tuned); a linear "
        "classifier was trained on the training images, stopped where it did best on the "
        "validation images, and scored once on the test images. It was trained anew with each "
        "seed of the probe.",
        "Look at the intervals before the means, and at the baselines before calling a strategy "
        "good.",
    )


MEASURE = Measure(
    "macro AUROC",
    "auroc",
    "AUROC of a linear classifier on the frozen encoder, mean over the classes",
    baseline="a logistic regression",
    choice="the augmentation",
    chance=0.5,
    decimals=3,
)
KIND = Kind(
    "macro_auroc",
    MacroAUROC,
    MEASURE,
    (table, matrix, differences, view_groups.view_groups, training.training_curves),
    how_to_read,
    view_groups.read_places,
    calls.in_words,
    calls.SECTIONS,
)
