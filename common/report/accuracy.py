"""Sections on accuracy: the table with and against the bias, distances of pairs."""

import math
from collections.abc import Sequence

from common.report.charts import Axis, Frame, Line, line_chart, nice_axis
from common.report.groups import Group, group_runs
from common.report.markup import element, figure_table, paragraph, section, swatch, text
from common.report.runs import Classes, Distances, Run, finite_mean

PANEL_HEIGHT = 120
IMAGES = {
    "accuracy": "all images",
    "accuracy_aligned": "bias-aligned",
    "accuracy_conflicting": "bias-conflicting",
}
READOUTS = {"head": "trained head", "probe": "refitted probe"}
PAIRS = {"positive": "same class", "negative": "different classes"}
SIDES = {"aligned": "var(--aligned)", "conflicting": "var(--conflicting)"}


def table(runs: Sequence[Run]) -> str:
    """Accuracy of each strategy: mean ± standard deviation over seeds, by readout and images."""
    groups = group_runs(runs)
    found = [classes for run in runs if (classes := run.classes) is not None]
    columns = [
        (readout, images)
        for readout in READOUTS
        for images in IMAGES
        if any(math.isfinite(c.shares.get(readout, {}).get(images, math.nan)) for c in found)
    ]
    heads = [f"{READOUTS[readout]}: {IMAGES[images]}" for readout, images in columns]
    rows = [
        (swatch(group.colour, group.name), [_cell(group, *column) for column in columns])
        for group in groups
    ]
    if all(run.channel is not None for run in runs):
        return ""  # their table has a column for each representation
    parts = sorted({classes.part for classes in found})
    note = (
        f"Scored on the {' and '.join(parts)} part, after the last epoch; %, mean ± standard "
        "deviation over seeds. The trained head learned beside the encoder; the refitted probe is "
        "a logistic regression on its frozen features of the training images."
    )
    return section(
        "accuracy-table",
        "Accuracy by readout",
        part_warning(runs),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
    )


def part_warning(runs: Sequence[Run]) -> str:
    """A warning where another part than the test part was scored, else nothing."""
    if {run.classes.part for run in runs if run.classes is not None} == {"test"}:
        return ""
    words = "Figures of a validation part choose settings; they are not results."
    return paragraph(words, "warning")


def distances(runs: Sequence[Run]) -> str:
    """Distances of bias-aligned and bias-conflicting pairs; nothing where there is no bias."""
    groups = [group for group in group_runs(runs) if _distances(group) is not None]
    if not groups:
        return ""
    heading = "Distances of pairs before and after training"
    edges = [edge for group in groups if (d := _distances(group)) is not None for edge in d.edges]
    axis = nice_axis(min(edges), max(edges), 4)
    blocks = [
        element(
            "div",
            element("h3", swatch(group.colour, group.name)),
            element("div", *_panels(group, axis), class_="panels"),
            class_="block",
        )
        for group in groups
    ]
    legend = " ".join(swatch(colour, f"bias-{side} pairs") for side, colour in SIDES.items())
    note = (
        "Across: Euclidean distance between the encoder's features scaled to length 1, from 0 to "
        "2; up: share of pairs, each panel to its own height. Before: the same encoder without its "
        "training. Where the bias is ignored, the two histograms of a panel coincide; figures are "
        "their means. First seed of each strategy."
    )
    return section("distances", heading, element("p", legend), *blocks, paragraph(note, "note"))


def _cell(group: Group, readout: str, images: str) -> str:
    values = [
        share
        for run in group.runs
        if run.classes is not None
        and math.isfinite(share := run.classes.shares.get(readout, {}).get(images, math.nan))
    ]
    if not values:
        return "–"
    mean = finite_mean(values)
    if len(values) == 1:
        return f"{mean:.2f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.2f} ± {spread:.2f}"


def _distances(group: Group) -> Distances | None:
    found: list[Classes] = [run.classes for run in group.runs if run.classes is not None]
    return next((classes.distances for classes in found if classes.distances is not None), None)


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts)
    return [count / total for count in counts] if total else [0.0 for _ in counts]


def _panels(group: Group, axis: Axis) -> list[str]:
    found = _distances(group)
    if found is None:
        return []
    return [
        _panel(group, found, moment, pairs, axis)
        for pairs in PAIRS
        for moment in ("before", "after")
    ]


def _panel(group: Group, found: Distances, moment: str, pairs: str, axis: Axis) -> str:
    lines, means = [], []
    for side, colour in SIDES.items():
        lines.append(_steps(found.edges, found.counts[moment][f"{pairs}_{side}"], colour))
        means.append((colour, found.means[moment][f"{pairs}_{side}"]))
    frame = Frame(axis, Axis(0.0, max(1e-9, *(max(line.y) for line in lines))), PANEL_HEIGHT)
    title = f"{PAIRS[pairs]}, {moment}"
    words = " ".join(
        swatch(colour, f"{mean:.2f}" if math.isfinite(mean) else "no pair")
        for colour, mean in means
    )
    return element(
        "div",
        element("div", element("span", text(title)), class_="panel-title"),
        line_chart(lines, frame, f"{group.name}, {title}: distances of pairs"),
        element("div", words, class_="panel-words"),
        class_="panel wide",
    )


def _steps(edges: Sequence[float], counts: Sequence[float], colour: str) -> Line:
    """The outline of a histogram, filled."""
    x = [edge for edge in edges for _ in range(2)][1:-1]
    y = [share for share in _shares(counts) for _ in range(2)]
    xs = (edges[0], *x, edges[-1])
    ys = (0.0, *y, 0.0)
    return Line(xs, ys, colour, low=tuple(0.0 for _ in ys), high=ys, style="mean")
