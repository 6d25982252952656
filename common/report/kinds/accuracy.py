"""Sections on accuracy: the table with and against the bias, distances of pairs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report import calls, training
from common.report import results as outcome
from common.report.calls import Calls
from common.report.charts import Axis, Frame, line_chart, nice_axis, steps
from common.report.groups import Group, group_runs
from common.report.kind import Epoch, Interval, Kind, Measure, Result
from common.report.markup import (
    Markup,
    block,
    figure_table,
    legend,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)
from common.report.run import Run, finite_mean, results
from common.report.schema import Edges, Ends, Positive, Share, Text, Unknown, refuse

PANEL_HEIGHT = 120
IMAGES = {
    "accuracy": "all images",
    "accuracy_aligned": "bias-aligned",
    "accuracy_conflicting": "bias-conflicting",
    "accuracy_unbiased": "unbiased",
}
HEADS = {"trained": "trained head", "refitted": "refitted probe"}
PAIRS = {"positive": "same class", "negative": "different classes"}
SIDES = {"aligned": "var(--aligned)", "conflicting": "var(--conflicting)"}
GROUPS = tuple(f"{pairs}_{side}" for pairs in PAIRS for side in SIDES)


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Share of right predictions: of all images, of the bias-aligned, of the others.

    Unbiased is the mean over the cells of class and bias.
    """

    accuracy: Share
    accuracy_aligned: Share | None = None
    accuracy_conflicting: Share | None = None
    accuracy_unbiased: Share | None = None


@dataclass(frozen=True, kw_only=True)
class SharesEpoch(Shares, Epoch):
    """Those of one epoch."""


@dataclass(frozen=True, kw_only=True)
class AccuracyInterval(Interval):
    """The two ends of the accuracy of all images."""

    accuracy: Ends


@dataclass(frozen=True, kw_only=True)
class PairDistances:
    """Distances of the pairs of one group: their number, moments and a histogram."""

    pairs: int
    mean: Positive | None
    std: Positive | None
    counts: tuple[Unknown, ...]


@dataclass(frozen=True, kw_only=True)
class Distances:
    """Histograms of pair distances by group, before and after the training."""

    edges: Edges
    before: dict[str, PairDistances]
    after: dict[str, PairDistances]

    def __post_init__(self) -> None:
        for moment in ("before", "after"):
            histograms = getattr(self, moment)
            for name in GROUPS:
                if name not in histograms or len(histograms[name].counts) != len(self.edges) - 1:
                    refuse(f"{moment}.{name}.counts", f"a list of {len(self.edges) - 1} numbers")


@dataclass(frozen=True, kw_only=True)
class Accuracy(Result, Shares):
    """A run judged by accuracy.

    Attributes:
        deployed_head: "trained" or "refitted": the head that decided.
        probe: shares of the probe, whoever decided.
        part: the part that was scored, "test" or "validation".
        distances: None without a bias.
        calls: which class is taken for which, and how surely.
    """

    deployed_head: Text
    interval: AccuracyInterval
    probe: Shares
    part: Text
    epochs: tuple[SharesEpoch, ...]
    baselines: dict[str, Shares] = field(default_factory=dict)
    distances: Distances | None
    calls: Calls | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.counts.get("classes"), int):
            refuse("counts.classes", "an integer")

    @property
    def chance(self) -> float:
        """One in so many classes."""
        return 1 / max(1, int(self.counts["classes"]))

    def share(self, head: str, images: str) -> float:
        """Accuracy in percent by who decided and on which images; NaN where there are none."""
        held = {self.deployed_head: self, "refitted": self.probe}.get(head)
        share = getattr(held, images, None)
        return math.nan if share is None else 100 * float(share)


def table(runs: Sequence[Run]) -> Markup:
    """Accuracy of each strategy: mean ± standard deviation over seeds, by head and images."""
    groups = group_runs(runs)
    all_results = results(runs, Accuracy)
    columns = [
        (head, images)
        for head in HEADS
        for images in IMAGES
        if any(math.isfinite(result.share(head, images)) for result in all_results)
    ]
    heads = [f"{HEADS[head]}: {IMAGES[images]}" for head, images in columns]
    rows = [
        (swatch(group.colour, group.name), [_cell(group, *column) for column in columns])
        for group in groups
    ]
    parts = sorted({result.part for result in all_results})
    note = (
        f"Scored on the {' and '.join(parts)} part, after the last epoch; %, mean ± standard "
        "deviation over seeds. The trained head learned beside the encoder; the refitted probe is "
        "a logistic regression on its frozen features of the training images."
    )
    return section(
        "accuracy-table",
        "Accuracy by head",
        part_warning(runs),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
    )


def part_warning(runs: Sequence[Run]) -> Markup:
    """A warning where another part than the test part was scored, else nothing."""
    if {result.part for result in results(runs, Accuracy)} == {"test"}:
        return Markup()
    words = "Figures of a validation part choose settings; they are not results."
    return paragraph(words, "warning")


def distances(runs: Sequence[Run]) -> Markup:
    """Distances of bias-aligned and bias-conflicting pairs; nothing where there is no bias."""
    groups = [group for group in group_runs(runs) if _distances(group) is not None]
    if not groups:
        return Markup()
    heading = "Distances of pairs before and after training"
    edges = [edge for group in groups if (d := _distances(group)) is not None for edge in d.edges]
    axis = nice_axis(min(edges), max(edges), 4)
    blocks = [
        block(swatch(group.colour, group.name), panels(*_panels(group, axis))) for group in groups
    ]
    sides = legend(*(swatch(colour, f"bias-{side} pairs") for side, colour in SIDES.items()))
    note = (
        "Across: Euclidean distance between the encoder's features scaled to length 1, from 0 to "
        "2; up: share of pairs, each panel to its own height. Before: the same encoder without its "
        "training. Where the bias is ignored, the two histograms of a panel coincide; figures are "
        "their means. First seed of each strategy."
    )
    return section("distances", heading, sides, *blocks, paragraph(note, "note"))


def _cell(group: Group, head: str, images: str) -> str:
    values = [
        share
        for result in results(group.runs, Accuracy)
        if math.isfinite(share := result.share(head, images))
    ]
    if not values:
        return "–"
    mean = finite_mean(values)
    if len(values) == 1:
        return f"{mean:.2f}"
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.2f} ± {spread:.2f}"


def _distances(group: Group) -> Distances | None:
    of_runs = [result.distances for result in results(group.runs, Accuracy)]
    return next((distances for distances in of_runs if distances is not None), None)


def _panels(group: Group, axis: Axis) -> list[Markup]:
    of_group = _distances(group)
    if of_group is None:
        return []
    return [
        _panel(group, of_group, moment, pairs, axis)
        for pairs in PAIRS
        for moment in ("before", "after")
    ]


def _panel(group: Group, of_group: Distances, moment: str, pairs: str, axis: Axis) -> Markup:
    lines, means = [], []
    for side, colour in SIDES.items():
        distances = getattr(of_group, moment)[f"{pairs}_{side}"]
        lines.append(steps(of_group.edges, distances.counts, colour))
        means.append((colour, distances.mean))
    across = axis.titled("distance of two images")
    frame = Frame(across, Axis(0.0, max(1e-9, *(max(line.y) for line in lines))), PANEL_HEIGHT)
    title = f"{PAIRS[pairs]}, {moment}"
    words = Markup(" ").join(
        swatch(colour, "no pair" if mean is None else f"{mean:.2f}") for colour, mean in means
    )
    chart = line_chart(lines, frame, f"{group.name}, {title}: distances of pairs")
    return panel(chart, title, words=words)


def how_to_read(runs: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    lines = (
        "Accuracy is the share of images whose class was recognised, by the network as it was "
        "after its last epoch, not at its best on these images.",
        "Where a bias (a colour, a background, a site) usually goes with a class, bias-aligned "
        "images have the usual one and bias-conflicting images another. A network that learned "
        "the bias does well on the former only.",
        "Distances between images should depend on their class alone: where aligned and "
        "conflicting pairs have the same distribution, the representation ignores the bias.",
    )
    if any(result.distances is not None for result in results(runs, Accuracy)):
        return lines
    return lines[:1]  # nothing was said of a bias


MEASURE = Measure(
    "accuracy",
    "accuracy",
    "accuracy, % of the images scored",
    drawn="images",
    scale=100.0,
    decimals=1,
    unit=" %",
    difference=" points",
)
KIND = Kind(
    "accuracy",
    Accuracy,
    MEASURE,
    (table, distances, outcome.by_epoch, training.training_curves),
    how_to_read,
    in_words=calls.in_words,
    decision=calls.SECTIONS,
)
