"""Section on augmented views: distances of pairs, silhouette, map (Fig. 2 of Cheng et al.)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from common.report.charts import Axis, Frame, Line, cloud_chart, line_chart, nice_axis
from common.report.groups import Group, group_runs
from common.report.markup import element, paragraph, section, swatch, text
from common.report.probe_run import Groups
from common.report.runs import Run

COLOURS = {"positive": "var(--aligned)", "negative": "var(--conflicting)"}
NAMES = {"positive": "two views of one image", "negative": "views of two images"}
IN_COLOUR = 10
FAINT = "var(--faint)"
EMPTY = 1e-9


def view_groups(runs: Sequence[Run]) -> str:
    """Densities and map of every strategy that has them, first seed."""
    shown = [(group, found) for group in group_runs(runs) if (found := _groups(group)) is not None]
    if not shown:
        return ""
    legend = " ".join(swatch(COLOURS[pair], NAMES[pair]) for pair in COLOURS)
    note = (
        "Distances: Euclidean, of the last class token; up, the share of the pairs. Silhouette: of "
        "images as clusters of their views, from −1 to 1, higher where images stand apart. Map: "
        "t-SNE of the views, ten images in colours and the others grey; only which views are near "
        "each other has a meaning. Each strategy sees the views of its own training, and weaker "
        "views lie closer together in any representation: to compare encoders alone, evaluate all "
        "with the same views. First seed of each strategy."
    )
    return section(
        "view-groups",
        "Do the views of an image belong together?",
        element("p", legend),
        *(element("div", *_block(group, found), class_="block") for group, found in shown),
        paragraph(note, "note"),
    )


def _groups(group: Group) -> Groups | None:
    found = [run.probe.groups for run in group.runs if run.probe is not None]
    return next((groups for groups in found if groups is not None), None)


def _block(group: Group, found: Groups) -> list[str]:
    words = (
        f"mean distance {found.means['positive']:.2f} of positive and "
        f"{found.means['negative']:.2f} of negative pairs, silhouette {found.silhouette:.3f}"
    ).replace("-", "−")
    lines = [_outline(found.edges, found.counts[pair], COLOURS[pair]) for pair in COLOURS]
    top = max(EMPTY, *(max(line.y) for line in lines))
    frame = Frame(nice_axis(found.edges[0], found.edges[-1], 5), Axis(0.0, top), 300)
    panels = [
        element(
            "div",
            line_chart(lines, frame, f"{group.name}: distances of pairs of views"),
            class_="panel wide",
        )
    ]
    if found.place is not None:
        panels.append(_map(group, found.place))
    return [
        element("h3", swatch(group.colour, group.name), text(": " + words)),
        element("div", *panels, class_="panels halves"),
    ]


def _map(group: Group, place: NDArray[np.float64]) -> str:
    clouds = [(FAINT, _points(place[IN_COLOUR:]))]
    clouds += [
        (f"var(--class-{number})", _points(views)) for number, views in enumerate(place[:IN_COLOUR])
    ]
    low, high = place.reshape(-1, 2).min(axis=0), place.reshape(-1, 2).max(axis=0)
    axes = Frame(nice_axis(low[0], high[0], 3), nice_axis(low[1], high[1], 4), 300)
    return element(
        "div", cloud_chart(clouds, axes, f"{group.name}: map of views"), class_="panel wide"
    )


def _points(place: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in place.reshape(-1, 2)]


def _outline(edges: Sequence[float], counts: Sequence[float], colour: str) -> Line:
    """The outline of a histogram of shares, filled."""
    total = sum(counts) or 1.0
    x = (edges[0], *[edge for edge in edges for _ in range(2)][1:-1], edges[-1])
    y = (0.0, *[count / total for count in counts for _ in range(2)], 0.0)
    return Line(x, y, colour, low=tuple(0.0 for _ in y), high=y, style="mean")
