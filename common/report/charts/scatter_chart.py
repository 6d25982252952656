"""Scatter charts: points over two axes.

`scatter_chart` is for axes of the same unit, with the line where both agree; `cloud_chart` is for
groups of points.
"""

from collections.abc import Sequence

from common.report.charts.line_chart import Frame
from common.report.markup import element, text


def scatter_chart(
    points: Sequence[tuple[float, float]], frame: Frame, colour: str, title: str
) -> str:
    """Return a chart of `points` (x, y) with the identity as a reference line.

    Args:
        points: drawn in this order.
        frame: axes, both in the same unit, and height.
        colour: of the points.
        title: what the chart shows, for screen readers.
    """
    low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
    identity = {
        "x1": frame.x.percent(low),
        "x2": frame.x.percent(high),
        "y1": f"{frame.place(low):.1f}",
        "y2": f"{frame.place(high):.1f}",
    }
    reference = element("line", **identity, class_="reference")
    return _chart([reference, _dots(points, frame, colour, 2.2)], frame, title)


def cloud_chart(
    clouds: Sequence[tuple[str, Sequence[tuple[float, float]]]], frame: Frame, title: str
) -> str:
    """Return a chart of several clouds of points.

    Args:
        clouds: (colour, points (x, y)) each, drawn in this order.
        frame: axes and height.
        title: what the chart shows, for screen readers.
    """
    return _chart([_dots(points, frame, colour, 1.8) for colour, points in clouds], frame, title)


def _dots(points: Sequence[tuple[float, float]], frame: Frame, colour: str, radius: float) -> str:
    dots = [
        element("circle", cx=frame.x.percent(x), cy=f"{frame.place(y):.1f}", r=radius)
        for x, y in points
    ]
    return element("g", *dots, fill=colour, class_="points")


def _chart(drawn: Sequence[str], frame: Frame, title: str) -> str:
    grid, scale = [], []
    for value, label in frame.y.ticks:
        y = f"{frame.place(value):.1f}"
        grid.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        scale.append(
            element("text", text(label), x="100%", y=frame.place(value) + 4, text_anchor="end")
        )
    plot = [*grid, *drawn, frame.x.labels(frame.height - 6)]
    return element(
        "div",
        element("svg", *scale, height=frame.height, aria_hidden="true"),
        element("svg", *plot, height=frame.height, role="img", aria_label=title),
        class_="plot",
    )
