"""The scatter chart: points over two axes of the same unit, and the line where both agree."""

from collections.abc import Sequence

from common.report.line_chart import Frame
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
    grid, scale = [], []
    for value, label in frame.y.ticks:
        y = f"{frame.place(value):.1f}"
        grid.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        scale.append(
            element("text", text(label), x="100%", y=frame.place(value) + 4, text_anchor="end")
        )
    low, high = max(frame.x.low, frame.y.low), min(frame.x.high, frame.y.high)
    identity = {
        "x1": frame.x.percent(low),
        "x2": frame.x.percent(high),
        "y1": f"{frame.place(low):.1f}",
        "y2": f"{frame.place(high):.1f}",
    }
    dots = [
        element("circle", cx=frame.x.percent(x), cy=f"{frame.place(y):.1f}", r=2.2)
        for x, y in points
    ]
    plot = [
        *grid,
        element("line", **identity, class_="reference"),
        element("g", *dots, fill=colour, class_="points"),
        frame.x.labels(frame.height - 6),
    ]
    return element(
        "div",
        element("svg", *scale, height=frame.height, aria_hidden="true"),
        element("svg", *plot, height=frame.height, role="img", aria_label=title),
        class_="plot",
    )
