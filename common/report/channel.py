"""Sections on a channel that chooses crops: CRL-TAC's tables and its Figs. 3, 6 and 8."""

import math
from collections.abc import Sequence

import numpy as np

from common.report.accuracy import part_warning
from common.report.channel_run import AVERAGES, READOUTS, Channel, ChannelPictures, Floats
from common.report.charts import Axis, Frame, Line, cloud_chart, framed, line_chart, nice_axis
from common.report.groups import Group, baseline_means, group_runs
from common.report.markup import element, figure_table, paragraph, section, swatch, text
from common.report.runs import Run
from common.report.words import plural

READOUT_NAMES = {"projection": "projection", "features": "f"}
TINT = (1.0, 0.55, 0.0)
FAINT = 0.4
CURVE_POINTS = 101
CLASS_COLOURS = [f"var(--class-{number})" for number in range(10)]


def representations(runs: Sequence[Run]) -> str:
    """A row a strategy, a column a representation; then what the channel chose."""
    groups = _groups(runs)
    if not groups:
        return ""
    found = [channel for group in groups for channel in _channels(group)]
    top = max(channel.top for channel in found)
    names = {"mean": "mean over P", "top": f"top {top}", "oracle": "oracle"}
    columns = [
        (readout, average)
        for readout in READOUTS
        for average in AVERAGES
        if any((readout, average) in channel.accuracy for channel in found)
    ]
    heads = [f"{READOUT_NAMES[readout]}: {names[average]}" for readout, average in columns]
    rows = []
    for group in groups:
        own = _channels(group)
        for name, tables in (
            (swatch(group.colour, group.name), [channel.accuracy for channel in own]),
            (element("small", text("at C = 1")), [channel.accuracy_at_1 for channel in own]),
        ):
            cells = [_written([t[key] for t in tables if key in t], 2) for key in columns]
            rows.append((name, cells))
    pixels = baseline_means(runs).get("pixels")
    told = "" if pixels is None else f" The pixels themselves: {pixels:.2f} %."
    note = (
        "Accuracy (%) of a logistic regression on frozen features of the training images, its "
        "penalty chosen on a tenth of them, mean ± standard deviation over seeds; below it at "
        "scikit-learn's own C = 1, a penalty that hides what is left of features that have all but "
        "collapsed. The projection is what the loss saw, f the layer below. An image is the "
        "average of its crops: weighted by P(T | x), plainly over the most probable ones, or over "
        "those inside the digit's cell, which no network is told (oracle)." + told
    )
    return section(
        "representations",
        "Accuracy by representation",
        part_warning(runs),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
        *_choices(groups, found),
    )


def maps(runs: Sequence[Run]) -> str:
    """Images and, below each, where its crops come from (the paper's Fig. 3)."""
    groups = _groups(runs)
    if not any(_first(group) for group in groups):
        return ""
    blocks = []
    for group in groups:
        channel = _first(group)
        if channel is None or channel.pictures is None:
            continue
        head = element("h3", swatch(group.colour, group.name))
        if channel.uniform:
            words = "Every crop of every image is as likely as any other: nothing to show."
            blocks.append(element("div", head, paragraph(words), class_="block"))
            continue
        cells = _cells(channel, channel.pictures)
        rows = element("div", *cells, class_="pictures maps")
        blocks.append(element("div", head, rows, class_="block"))
    note = (
        "Above: the image; below: P(T | x) in orange over it, each crop drawn at its centre, up to "
        "the highest P of the image, and how many crops an even choice of the same entropy would "
        "have. The first test image of each class, then the next; none was picked. First seed of "
        "each strategy."
    )
    return section("crop-maps", "Where the crops come from", *blocks, paragraph(note, "note"))


def spread(runs: Sequence[Run]) -> str:
    """How far apart the representations of different images are (the paper's Figs. 6 and 8)."""
    shown = [
        (group, channel.pictures)
        for group in _groups(runs)
        if (channel := _first(group)) is not None and channel.pictures is not None
    ]
    if not shown:
        return ""
    legend = " ".join(swatch(group.colour, group.name) for group, _ in shown)
    lines = [_curve(group, pictures) for group, pictures in shown]
    percents = Axis(0.0, 100.0, tuple((v, f"{v:.0f} %") for v in (0, 25, 50, 75, 100)))
    frame = Frame(percents, nice_axis(0.0, 1.0), 260)
    points = np.concatenate([pictures.point for _, pictures in shown])
    low, high = points.min(axis=0), points.max(axis=0)
    axes = Frame(nice_axis(low[0], high[0], 3), nice_axis(low[1], high[1], 4), 300)
    panels = [_cloud(group, pictures, axes) for group, pictures in shown]
    classes = np.unique(np.concatenate([pictures.point_label for _, pictures in shown]))
    named = " ".join(swatch(_class_colour(number), str(number)) for number in classes)
    return section(
        "spread-of-images",
        "How far apart images lie",
        element("h3", text("Similarity of two images")),
        element("p", legend),
        line_chart(lines, frame, "Sorted similarity of random pairs of images"),
        paragraph(
            "Up: |⟨z, z′⟩| of the projections of two random test images, sorted; across: share of "
            "the pairs. Near 0 images are told apart; near 1 all images are one.",
            "note",
        ),
        element("h3", text("The projections in two dimensions")),
        element("p", named),
        element("div", *panels, class_="panels halves"),
        paragraph(
            "The two principal components of each strategy's own projections, the same axes for "
            "all; the colour is the class. First seed of each strategy.",
            "note",
        ),
    )


def _groups(runs: Sequence[Run]) -> list[Group]:
    return [group for group in group_runs(runs) if _channels(group)]


def _channels(group: Group) -> list[Channel]:
    return [run.channel for run in group.runs if run.channel is not None]


def _first(group: Group) -> Channel | None:
    """The channel of the first seed that has pictures."""
    return next((channel for channel in _channels(group) if channel.pictures is not None), None)


def _written(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "–"
    mean = sum(values) / len(values)
    if len(values) == 1:
        return f"{mean:.{decimals}f}"
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def _choices(groups: Sequence[Group], found: Sequence[Channel]) -> list[str]:
    """The table of what the channel chose and how even the representations are."""
    heads = ["P on crops that touch something", "entropy of P (nats)", "Gaussian potential"]
    rows = [
        (
            swatch(group.colour, group.name),
            [
                _written([channel.touching[0] for channel in _channels(group)], 3),
                _written([channel.entropy[0] for channel in _channels(group)], 2),
                _written([channel.potential for channel in _channels(group)], 4),
            ],
        )
        for group in groups
    ]
    highest = ", ".join(
        f"{math.log(count):.2f} for {plural(count, 'crop')}"
        for count in sorted({channel.crops for channel in found})
    )
    note = (
        f"Means over test images. A uniform choice has the highest entropy: {highest}. The "
        "potential is the mean of exp(−2 d²) over pairs of images, d the distance of their "
        "projections: 1 where all are one, 0.02 where 50 dimensions are evenly filled."
    )
    return [
        element("h3", text("What the channel chose")),
        figure_table("strategy", heads, rows),
        paragraph(note, "note"),
    ]


def _cells(channel: Channel, pictures: ChannelPictures) -> list[str]:
    cells = []
    for image, label, p in zip(pictures.image, pictures.image_label, pictures.probability):
        positive = p[p > 0]
        crops = math.exp(-float((positive * np.log(positive)).sum()))
        words = f"as {plural(max(1, round(crops)), 'crop')}"
        cells.append(
            element(
                "figure",
                framed(image, f"image of class {label}"),
                framed(_tinted(image, p, channel), f"P(T | x) of an image of class {label}"),
                element("figcaption", element("b", text(f"class {label}")), text(words)),
            )
        )
    return cells


def _tinted(image: Floats, p: Floats, channel: Channel) -> Floats:
    """The image, faint, and P in colour, each crop at its centre; ``(H, W, 3)``."""
    weight = np.zeros(image.shape)
    drawn = np.kron(p / max(p.max(), 1e-12), np.ones((channel.stride, channel.stride)))
    start = max(0, (channel.crop_size - channel.stride) // 2)
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


def _cloud(group: Group, pictures: ChannelPictures, axes: Frame) -> str:
    clouds = [
        (_class_colour(number), pictures.point[pictures.point_label == number].tolist())
        for number in np.unique(pictures.point_label).tolist()
    ]
    return element(
        "div",
        element("div", element("span", swatch(group.colour, group.name)), class_="panel-title"),
        cloud_chart(clouds, axes, f"{group.name}: projections of images"),
        class_="panel wide",
    )
