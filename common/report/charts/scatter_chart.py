"""Scatter charts: points over two axes.

`scatter_chart` is for axes of the same unit, with the line where both agree; `cloud_chart` is for
groups of points.
"""

from collections.abc import Sequence

from common.report.charts.line_chart import Frame
from common.report.markup import Markup, render

Point = tuple[float, float]


def scatter_chart(points: Sequence[Point], frame: Frame, colour: str, title: str) -> Markup:
    """Return a chart of `points` (x, y) with the identity as a reference line.

    Args:
        points: drawn in this order.
        frame: axes, both in the same unit, and height.
        colour: of the points.
        title: what the chart shows, for screen readers.
    """
    low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
    lines = [((low, low), (high, high), "")]
    given = {"clouds": [(colour, points)], "radius": 2.2, "lines": lines}
    return render("scatter_chart", frame=frame, title=title, **given)


def cloud_chart(
    clouds: Sequence[tuple[str, Sequence[Point]]],
    frame: Frame,
    title: str,
    lines: Sequence[tuple[Point, Point, str]] = (),
) -> Markup:
    """Return a chart of several clouds of points.

    Args:
        clouds: (colour, points (x, y)) each, drawn in this order.
        frame: axes and height.
        title: what the chart shows, for screen readers.
        lines: dashed, from a point to another, in a colour.
    """
    given = {"clouds": clouds, "radius": 1.8, "lines": lines}
    return render("scatter_chart", frame=frame, title=title, **given)
