"""Section on the training: each term of the loss by epoch, a row of small charts a strategy."""

import math
from collections.abc import Sequence

from common.report.charts import Axis, Frame, Line, line_chart, nice_axis
from common.report.groups import Group, group_runs
from common.report.markup import (
    Markup,
    block,
    blocks,
    figure_table,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)
from common.report.run import Run, finite_mean

PANEL_HEIGHT = 110


def training_curves(runs: Sequence[Run]) -> Markup:
    """Terms by epoch and strategy; one vertical scale a term, shared by all strategies."""
    groups = [group for group in group_runs(runs) if _terms(group)]
    if not groups:
        return section("training", "Training curves", paragraph("No training history was kept."))
    epochs = [x for run in runs if run.history for x in run.history.epoch if math.isfinite(x)]
    if len(set(epochs)) == 1:
        return section("training", "Training terms", *_only(groups, epochs[0]))
    last = max(epochs)
    ends = ((1.0, "1"), (last, f"{last:g}")) if last > 1 else ((1.0, "1"),)
    x_axis = Axis(min(1.0, *epochs), max(last, 2.0), ends)
    scales = _scales(groups)
    wide = max(len(_terms(group)) for group in groups)
    each = [
        block(
            swatch(group.colour, group.name),
            panels(*(_panel(group, term, x_axis, scales[term]) for term in _terms(group))),
        )
        for group in groups
    ]
    note = (
        "Across: epoch. A term has the same vertical scale for every strategy. Thick: mean over "
        "seeds; thin: seeds. The figure beside the name is the last epoch's mean."
    )
    return section("training", "Training curves", blocks(*each, wide=wide), paragraph(note, "note"))


def _only(groups: Sequence[Group], epoch: float) -> list[Markup]:
    """The terms of the only epoch, as numbers."""
    terms = list(dict.fromkeys(term for group in groups for term in _terms(group)))
    rows = [
        (
            swatch(group.colour, group.name),
            [_short(finite_mean([line.y[-1] for line in _seed_lines(group, t)])) for t in terms],
        )
        for group in groups
    ]
    table = figure_table("strategy", [_title(term) for term in terms], rows)
    return [table, paragraph(f"Only epoch {epoch:g}, mean over seeds.", "note")]


def _title(term: str) -> str:
    return term.replace("/", ": ").replace("_", " ")


def _short(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if math.isfinite(value) else "none"


def _terms(group: Group) -> list[str]:
    """Names of the terms, less the total where a phase of its own repeats it."""
    names = dict.fromkeys(name for run in group.runs if run.history for name in run.history.terms)
    repeated = any(name.endswith("/loss") for name in names)
    return [name for name in names if not (repeated and name == "loss")]


def _seed_lines(group: Group, term: str) -> list[Line]:
    return [
        Line(run.history.epoch, run.history.terms[term], group.colour, style="seed")
        for run in group.runs
        if run.history and term in run.history.terms
    ]


def _scales(groups: Sequence[Group]) -> dict[str, Axis]:
    values: dict[str, list[float]] = {}
    for group in groups:
        for term in _terms(group):
            for line in _seed_lines(group, term):
                values.setdefault(term, []).extend(y for y in line.y if math.isfinite(y))
    return {
        term: nice_axis(min(known, default=0.0), max(known, default=1.0), 4)
        for term, known in values.items()
    }


def _panel(group: Group, term: str, x_axis: Axis, y_axis: Axis) -> Markup:
    title = _title(term)
    seeds = _seed_lines(group, term)
    by_epoch: dict[float, list[float]] = {}
    for line in seeds:
        for x, y in zip(line.x, line.y):
            by_epoch.setdefault(x, []).append(y)
    epochs = tuple(sorted(by_epoch))
    means = tuple(finite_mean(by_epoch[x]) for x in epochs)
    mean = Line(epochs, means, group.colour, style="mean")
    last = _short(next((y for y in reversed(means) if math.isfinite(y)), math.nan))
    chart = line_chart(
        [*(seeds if len(seeds) > 1 else []), mean],
        Frame(x_axis, y_axis, PANEL_HEIGHT),
        f"{group.name}, {title} by epoch, last {last}",
    )
    return panel(chart, title, value=last, kind="")
