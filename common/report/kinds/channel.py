"""Sections on a channel that chooses crops: CRL-TAC's tables and its Figs. 3, 6 and 8."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report import calls, training
from common.report import results as outcome
from common.report.charts import Axis, Frame, Line, cloud_chart, framed, line_chart, nice_axis
from common.report.groups import Group, baseline_means, group_runs
from common.report.kind import Kind
from common.report.kinds import accuracy
from common.report.kinds.accuracy import Accuracy, part_warning
from common.report.markup import (
    Markup,
    block,
    figure,
    figure_table,
    heading,
    legend,
    panel,
    panels,
    paragraph,
    pictures,
    row_head,
    section,
    swatch,
)
from common.report.run import Run, results
from common.report.schema import CURE, Number, Positive, Share, Text, number, read_arrays
from common.report.words import plural

REPRESENTATIONS = ("projection", "features")
AVERAGES = ("mean", "top", "oracle")
PICTURES = "channel.npz"
AXES = {
    "image": 3,
    "image_label": 1,
    "probability": 3,
    "similarity": 1,
    "point": 2,
    "point_label": 1,
}
REPRESENTATION_NAMES = {"projection": "projection", "features": "f"}
TINT = (1.0, 0.55, 0.0)
FAINT = 0.4
CURVE_POINTS = 101
CLASS_COLOURS = [f"var(--class-{number})" for number in range(10)]
CHANNEL_MEANS = (
    "The encoder saw crops. Where the channel was trained it chose them, image by image, and no "
    "label said where to look; where it was not, most crops of a large field show nothing, and the "
    "encoder learns that. The maps show what the representation was made of, not why a class was "
    "named."
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation over images."""

    mean: Positive
    std: Positive


@dataclass(frozen=True)
class ShareMoments:
    """Those of a share."""

    mean: Annotated[float, number(0, 1 + 1e-4)]
    std: Positive


@dataclass(frozen=True)
class Grid:
    """The crops: pixels a side of the image and of a crop, from one to the next, their number."""

    image_size: int
    crop_size: int
    stride: int
    crops: int


@dataclass(frozen=True, kw_only=True)
class Representation:
    """Accuracy of one representation: with the penalty chosen, which that is, and at C = 1."""

    representation: Text
    average: Text
    accuracy: Share
    strength: Positive | None = None
    accuracy_at_1: Share


@dataclass(frozen=True, kw_only=True)
class ChannelBlock:
    """What the channel chose and what its representations are worth.

    Attributes:
        deployed: the representation that decides.
        gaussian_potential: mean pairwise, of the projections.
        touching: P on crops that touch something.
        entropy: of P, in nats.
        grid: of the crops.
        top: crops of the average "top".
        representations: each of them.
        point_variance: shares that the two principal components hold.
    """

    deployed: Text
    gaussian_potential: Annotated[float, number(0, 1 + 1e-6)]
    touching: ShareMoments
    entropy: Moments
    grid: Grid
    top: int
    representations: tuple[Representation, ...]
    point_variance: tuple[Number, ...]

    @property
    def uniform(self) -> bool:
        """Whether every crop is as likely as any other."""
        return self.entropy.mean > math.log(self.grid.crops) - 1e-4


@dataclass(frozen=True, kw_only=True)
class Channel(Accuracy):
    """A run judged by accuracy whose encoder sees crops that a channel chooses."""

    channel: ChannelBlock


@dataclass(frozen=True)
class ChannelPictures:
    """Images and points of a run.

    Attributes:
        image: ``(n, H, H)`` in [0, 1].
        image_label: ``(n,)``.
        probability: ``(n, side, side)``, P of the crops row by row.
        similarity: sorted, in [0, 1].
        point: ``(m, 2)``.
        point_label: ``(m,)``.
    """

    image: Floats
    image_label: NDArray[np.int64]
    probability: Floats
    similarity: Floats
    point: Floats
    point_label: NDArray[np.int64]


def read_pictures(run: Run) -> ChannelPictures | None:
    """Read channel.npz; None where it is absent.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    path = run.folder / PICTURES
    if not path.exists() or not isinstance(run.result, Channel):
        return None
    crops = run.result.channel.grid.crops
    arrays = read_arrays(path, AXES)
    counts = {name: len(arrays[name]) for name in AXES}
    require(
        counts["image"] == counts["image_label"] == counts["probability"]
        and counts["point"] == counts["point_label"]
        and int(np.prod(arrays["probability"].shape[1:])) == crops,
        f"{path}: must hold a label and {crops} crops for each image, and a label for each point, "
        f"got {', '.join(f'{name} {arrays[name].shape}' for name in sorted(AXES))}. {CURE}",
    )
    return ChannelPictures(
        image=arrays["image"].astype(np.float64) / 255,
        image_label=arrays["image_label"].astype(np.int64),
        probability=arrays["probability"].astype(np.float64),
        similarity=arrays["similarity"].astype(np.float64),
        point=arrays["point"].astype(np.float64),
        point_label=arrays["point_label"].astype(np.int64),
    )


def representations(runs: Sequence[Run]) -> Markup:
    """A row a strategy, a column a representation; then what the channel chose."""
    groups = _groups(runs)
    if not groups:
        return Markup()
    channels = [channel for group in groups for channel in _channels(group)]
    top = max(channel.top for channel in channels)
    names = {"mean": "mean over P", "top": f"top {top}", "oracle": "oracle"}
    columns = [
        (representation, average)
        for representation in REPRESENTATIONS
        for average in AVERAGES
        if any(_share(channel, (representation, average), "accuracy") for channel in channels)
    ]
    heads = [
        f"{REPRESENTATION_NAMES[representation]}: {names[average]}"
        for representation, average in columns
    ]
    rows = []
    for group in groups:
        own = _channels(group)
        for name, share_of in (
            (swatch(group.colour, group.name), "accuracy"),
            (row_head("", "at C = 1"), "accuracy_at_1"),
        ):
            cells = [
                _written([share for c in own for share in _share(c, key, share_of)], 2)
                for key in columns
            ]
            rows.append((name, cells))
    pixels = baseline_means(runs).get("pixels")
    beside = "" if pixels is None else f" The pixels themselves: {pixels:.2f} %."
    note = (
        "Accuracy (%) of a logistic regression on frozen features of the training images, its "
        "penalty chosen on a tenth of them, mean ± standard deviation over seeds; below it at "
        "scikit-learn's own C = 1, a penalty that hides what is left of features that have all but "
        "collapsed. The projection is what the loss saw, f the layer below. An image is the "
        "average of its crops: weighted by P(T | x), plainly over the most probable ones, or over "
        "those inside the digit's cell, which no network is told (oracle)." + beside
    )
    return section(
        "representations",
        "Accuracy by representation",
        part_warning(runs),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
        *_choices(groups, channels),
    )


def maps(runs: Sequence[Run]) -> Markup:
    """Images and, below each, where its crops come from (the paper's Fig. 3)."""
    groups = _groups(runs)
    if not any(_first(group) for group in groups):
        return Markup()
    blocks = []
    for group in groups:
        run = _first(group)
        if run is None or not isinstance(run.result, Channel):
            continue
        channel = run.result.channel
        name = swatch(group.colour, group.name)
        if channel.uniform:
            words = "Every crop of every image is as likely as any other: nothing to show."
            blocks.append(block(name, paragraph(words)))
            continue
        blocks.append(block(name, pictures(*_cells(channel, run.arrays), kind="maps")))
    note = (
        "Above: the image; below: P(T | x) in orange over it, each crop drawn at its centre, up to "
        "the highest P of the image, and how many crops an even choice of the same entropy would "
        "have. The first test image of each class, then the next; none was picked. First seed of "
        "each strategy."
    )
    return section("crop-maps", "Where the crops come from", *blocks, paragraph(note, "note"))


def spread(runs: Sequence[Run]) -> Markup:
    """How far apart the representations of different images are (the paper's Figs. 6 and 8)."""
    shown = [(group, run.arrays) for group in _groups(runs) if (run := _first(group)) is not None]
    if not shown:
        return Markup()
    lines = [_curve(group, arrays) for group, arrays in shown]
    percents = Axis(0.0, 100.0, tuple((v, f"{v:.0f} %") for v in (0, 25, 50, 75, 100)))
    frame = Frame(
        percents.titled("share of the pairs"), nice_axis(0.0, 1.0).titled("similarity"), 260
    )
    points = np.concatenate([arrays.point for _, arrays in shown])
    low, high = points.min(axis=0), points.max(axis=0)
    axes = Frame(nice_axis(low[0], high[0], 3), nice_axis(low[1], high[1], 4), 300)
    clouds = [_cloud(group, arrays, axes) for group, arrays in shown]
    classes = np.unique(np.concatenate([arrays.point_label for _, arrays in shown]))
    named = legend(*(swatch(_class_colour(number), str(number)) for number in classes))
    return section(
        "spread-of-images",
        "How far apart images lie",
        heading("Similarity of two images"),
        legend(*(swatch(group.colour, group.name) for group, _ in shown)),
        line_chart(lines, frame, "Sorted similarity of random pairs of images"),
        paragraph(
            "Up: |⟨z, z′⟩| of the projections of two random test images, sorted; across: share of "
            "the pairs. Near 0 images are told apart; near 1 all images are one.",
            "note",
        ),
        heading("The projections in two dimensions"),
        named,
        panels(*clouds, kind="halves"),
        paragraph(
            "The two principal components of each strategy's own projections, the same axes for "
            "all; the colour is the class. First seed of each strategy.",
            "note",
        ),
    )


def _groups(runs: Sequence[Run]) -> list[Group]:
    return [group for group in group_runs(runs) if _channels(group)]


def _channels(group: Group) -> list[ChannelBlock]:
    return [result.channel for result in results(group.runs, Channel)]


def _share(channel: ChannelBlock, key: tuple[str, str], figure: str) -> list[float]:
    """A figure of one representation in percent; none where the run has no such."""
    rows = {(row.representation, row.average): row for row in channel.representations}
    return [100 * getattr(rows[key], figure)] if key in rows else []


def _first(group: Group) -> Run | None:
    """The first seed that has pictures."""
    return next((run for run in group.runs if isinstance(run.arrays, ChannelPictures)), None)


def _written(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{decimals}f}"
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def _choices(groups: Sequence[Group], channels: Sequence[ChannelBlock]) -> list[Markup]:
    """The table of what the channel chose and how even the representations are."""
    heads = ["P on crops that touch something", "entropy of P (nats)", "Gaussian potential"]
    rows = [
        (
            swatch(group.colour, group.name),
            [
                _written([channel.touching.mean for channel in _channels(group)], 3),
                _written([channel.entropy.mean for channel in _channels(group)], 2),
                _written([channel.gaussian_potential for channel in _channels(group)], 4),
            ],
        )
        for group in groups
    ]
    highest = ", ".join(
        f"{math.log(count):.2f} for {plural(count, 'crop')}"
        for count in sorted({channel.grid.crops for channel in channels})
    )
    note = (
        f"Means over test images. A uniform choice has the highest entropy: {highest}. The "
        "potential is the mean of exp(−2 d²) over pairs of images, d the distance of their "
        "projections: 1 where all are one, 0.02 where 50 dimensions are evenly filled."
    )
    return [
        heading("What the channel chose"),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
    ]


def _cells(channel: ChannelBlock, shown: ChannelPictures) -> list[Markup]:
    cells = []
    for image, label, p in zip(shown.image, shown.image_label, shown.probability):
        positive = p[p > 0]
        crops = math.exp(-float((positive * np.log(positive)).sum()))
        words = f"as {plural(max(1, round(crops)), 'crop')}"
        cells.append(
            figure(
                framed(image, f"image of class {label}"),
                framed(_tinted(image, p, channel.grid), f"P(T | x) of an image of class {label}"),
                name=f"class {label}",
                words=words,
            )
        )
    return cells


def _tinted(image: Floats, p: Floats, grid: Grid) -> Floats:
    """The image, faint, and P in colour, each crop at its centre; ``(H, W, 3)``."""
    weight = np.zeros(image.shape)
    drawn = np.kron(p / max(p.max(), 1e-12), np.ones((grid.stride, grid.stride)))
    start = max(0, (grid.crop_size - grid.stride) // 2)
    height, width = (min(n, m - start) for n, m in zip(drawn.shape, image.shape))
    weight[start : start + height, start : start + width] = drawn[:height, :width]
    grey = FAINT * image[..., None]
    tinted: Floats = grey + weight[..., None] * (np.array(TINT) - grey)
    return tinted


def _curve(group: Group, pictures: ChannelPictures) -> Line:
    share = np.linspace(0, 1, CURVE_POINTS)
    value = np.quantile(pictures.similarity, share)
    return Line(
        tuple((100 * share).tolist()), tuple(value.tolist()), group.colour, group.name, style="mean"
    )


def _class_colour(number: int) -> str:
    return CLASS_COLOURS[number % len(CLASS_COLOURS)]


def _cloud(group: Group, shown: ChannelPictures, axes: Frame) -> Markup:
    clouds = [
        (_class_colour(number), shown.point[shown.point_label == number].tolist())
        for number in np.unique(shown.point_label).tolist()
    ]
    chart = cloud_chart(clouds, axes, f"{group.name}: projections of images")
    return panel(chart, swatch(group.colour, group.name))


def how_to_read(runs: Sequence[Run]) -> Sequence[str]:
    """What is said of accuracy, and what the crops mean."""
    return [*accuracy.how_to_read(runs), CHANNEL_MEANS]


KIND = Kind(
    "channel",
    Channel,
    accuracy.MEASURE,
    (
        representations,
        maps,
        spread,
        accuracy.distances,
        outcome.by_epoch,
        training.training_curves,
    ),
    how_to_read,
    read_pictures,
    calls.in_words,
    calls.SECTIONS,
)
