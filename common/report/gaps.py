"""Sections on age gaps: their size and side, against age, by site and other groups, the worst."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.report.cases import each_patient, worst_errors
from common.report.charts import Frame, cloud_chart, line_chart, nice_axis, steps
from common.report.groups import Group, group_runs
from common.report.markup import (
    Markup,
    figure_table,
    legend,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)
from common.report.results import compared, who
from common.report.run import Run, finite_mean
from common.report.schema import Edges, Number, Text, Unknown, refuse
from common.report.words import signed

SITES = {"internal": "known sites", "external": "new sites"}
COLOURS = {"internal": "var(--aligned)", "external": "var(--conflicting)"}
HEIGHT = 280


@dataclass(frozen=True)
class Years:
    """A number of years and the ends of its interval over subjects; None where there is none."""

    value: Number | None
    low: Number | None
    high: Number | None

    def written(self, *, sign: bool = False, decimals: int = 1) -> str:
        """Return it as text."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            alone = signed(self.value, decimals) if sign else f"{self.value:.{decimals}f}"
            return f"{alone} (no interval)"
        numbers = [
            signed(x, decimals) if sign else f"{x:.{decimals}f}"
            for x in (self.value, self.low, self.high)
        ]
        return f"{numbers[0]} ({numbers[1]} to {numbers[2]})"

    def on_a_side(self) -> str:
        """Return a gap in words, with a side where the interval has one; "" for no gap."""
        if self.value is None or self.low is None or self.high is None:
            return ""
        if self.low <= 0 <= self.high:
            return (
                "neither surely too old nor too young "
                f"({signed(self.low, 1)} to {signed(self.high, 1)} years)"
            )
        return f"{abs(self.value):.1f} years too {'old' if self.value > 0 else 'young'}"


@dataclass(frozen=True)
class GapFigures:
    """Gaps of some subjects.

    Attributes:
        subjects: their number.
        images: of theirs.
        mae: mean absolute gap.
        bias: mean gap, predicted - true.
        deviation: its standard deviation.
        slope: years of gap a year of age.
    """

    subjects: int
    images: int
    mae: Years
    bias: Years
    deviation: Years
    slope: Years


@dataclass(frozen=True)
class GapGroup(GapFigures):
    """Those of the subjects that agree in a column of the manifest."""

    column: Text
    name: Text


@dataclass(frozen=True)
class Gaps:
    """Gaps of test subjects of known and of new sites, in all, as a histogram, and by group."""

    internal: GapFigures
    external: GapFigures
    edges: Edges
    counts: dict[str, tuple[Unknown, ...]]
    subgroups: tuple[GapGroup, ...]

    def __post_init__(self) -> None:
        for name in SITES:
            if len(self.counts.get(name, ())) != len(self.edges) - 1:
                refuse(f"counts.{name}", f"a list of {len(self.edges) - 1} numbers")


def gaps_of(runs: Sequence[Run]) -> tuple[Run | None, Gaps | None]:
    """The run that is spoken of, the first seed of the verdict's first strategy, and its gaps."""
    for run in _lead(runs).runs:
        if (result := getattr(run.result, "gaps", None)) is not None:
            return run, result
    return None, None


def in_words(runs: Sequence[Run]) -> list[str]:
    """The age error at known and at new sites, and on which side of the truth it is."""
    known, new = (
        finite_mean([getattr(run.result, f"mae_{part}") for run in _lead(runs).runs])
        for part in SITES
    )
    lines = [f"Age error {known:.1f} years at known sites, {new:.1f} at new ones."]
    _, result = gaps_of(runs)
    sides = [getattr(result, part).bias.on_a_side() for part in SITES] if result else [""]
    if all(sides):
        lines.append(
            f"On average subjects of known sites come out {sides[0]}, of new sites {sides[1]}."
        )
    return lines


def distribution(runs: Sequence[Run]) -> Markup:
    """Figures of the gap, its distribution, and the gap against age."""
    run, result = gaps_of(runs)
    if run is None or result is None:
        return Markup()
    heads = ["subjects", "mean absolute gap", "mean gap (bias)", "deviation", "gap per 10 years"]
    rows = [
        (swatch(COLOURS[part], SITES[part]), [str(each.subjects), *_cells(each), _per_ten(each)])
        for part in SITES
        for each in [getattr(result, part)]
    ]
    note = (
        "Gap: predicted − true age, years; 95 % intervals over subjects in parentheses. A gap that "
        "falls with age (young brains look older, old ones younger) is what regression does to "
        "features that know little of age: compare gaps only between groups of the same age. Of "
        f"{who(runs, run)}."
    )
    return section(
        "gaps",
        "How far off, and on which side",
        figure_table("subjects of", heads, rows),
        legend(*(swatch(COLOURS[part], name) for part, name in SITES.items())),
        panels(_histogram(result), *_against_age(run, result), kind="halves"),
        paragraph(note, "note"),
    )


def for_whom(runs: Sequence[Run]) -> Markup:
    """Gaps by site, sex, age and the like, with counts."""
    _, result = gaps_of(runs)
    if result is None:
        return Markup()
    heads = ["subjects", "mean absolute gap", "mean gap (bias)", "deviation"]
    rows = [
        (f"{group.column}: {group.name}", [str(group.subjects), *_cells(group)])
        for group in result.subgroups
    ]
    if not rows:
        words = "The prepared data name no site, sex or other group with two values or more."
        return section("subgroups", "For whom it works", paragraph(words))
    return section("subgroups", "For whom it works", figure_table("group", heads, rows))


def worst(runs: Sequence[Run]) -> Markup:
    """The largest gaps, as pictures."""
    run, _ = gaps_of(runs)
    if run is None:
        return Markup()

    def words(age: float, said: float) -> str:
        return f"predicted {said:.1f}, is {age:.1f}: {signed(said - age, 1)} years"

    return worst_errors(run, words, "No age is known.")


def patients(runs: Sequence[Run]) -> Markup:
    """A row a subject."""
    run, _ = gaps_of(runs)
    if run is None:
        return Markup()

    def row(age: NDArray[Any], said: NDArray[Any]) -> list[str]:
        true, mean = float(age.mean()), float(said.mean())
        known = np.isfinite(true)
        cells = [f"{true:.1f}", signed(mean - true, 1)] if known else ["–", "–"]
        return [cells[0], f"{mean:.1f}", cells[1]]

    return each_patient(run, ["age", "predicted", "gap"], row)


SECTIONS = (distribution, for_whom, worst, patients)


def _lead(runs: Sequence[Run]) -> Group:
    return compared(group_runs(runs))[0]


def _cells(each: GapFigures) -> list[str]:
    return [each.mae.written(), each.bias.written(sign=True), each.deviation.written()]


def _per_ten(each: GapFigures) -> str:
    ends = (each.slope.value, each.slope.low, each.slope.high)
    return Years(*(None if end is None else 10 * end for end in ends)).written(sign=True)


def _histogram(result: Gaps) -> Markup:
    lines = [steps(result.edges, result.counts[part], COLOURS[part]) for part in SITES]
    top = max(max(line.y) for line in lines)
    frame = Frame(
        nice_axis(result.edges[0], result.edges[-1]).titled("predicted − true age, years"),
        nice_axis(0.0, top or 1.0, 4).titled("share of subjects"),
        HEIGHT,
    )
    return panel(line_chart(lines, frame, "Distribution of the gap"), "Distribution of the gap")


def _against_age(run: Run, result: Gaps) -> list[Markup]:
    """Gap against age, with the line of least squares of each."""
    scores = run.arrays
    if scores is None or not len(scores.age):
        return []
    gap = scores.predicted - scores.age
    members = {"internal": scores.internal, "external": ~scores.internal}
    clouds = [
        (COLOURS[part], list(zip(scores.age[here].tolist(), gap[here].tolist())))
        for part, here in members.items()
    ]
    low, high = float(scores.age.min()), float(scores.age.max())
    lines = [((low, 0.0), (high, 0.0), "var(--soft)")]
    for part, here in members.items():
        figures = getattr(result, part)
        if here.any() and figures.slope.value is not None:
            middle, slope = float(scores.age[here].mean()), figures.slope.value
            ends = [(x, figures.bias.value + slope * (x - middle)) for x in (low, high)]
            lines.append((ends[0], ends[1], COLOURS[part]))
    frame = Frame(
        nice_axis(low, high).titled("true age, years"),
        nice_axis(float(gap.min()), float(gap.max())).titled("predicted − true age, years"),
        HEIGHT,
    )
    chart = cloud_chart(clouds, frame, "Gap against age", lines)
    return [panel(chart, "Gap against age")]
