"""The line chart: lines with bands, labels at their ends.

Horizontal positions are percentages and text is never scaled, so it fits any width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts.axis import Axis
from common.report.markup import element, text

TOP, BOTTOM = 10, 24
LABEL_GAP = 17
MAX_LABEL = 27


@dataclass(frozen=True)
class Line:
    """A line of a chart, perhaps with a band between `low` and `high`; NaN points are left out.

    `style` is "main" (thick, with dots and a label), "seed" (thin) or "context" (thin and grey).
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: str
    label: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    style: str = "main"


@dataclass(frozen=True)
class Frame:
    """The two axes of a chart and its height in pixels, axis labels included."""

    x: Axis
    y: Axis
    height: int

    @property
    def inner(self) -> int:
        """Height of the drawing area in pixels."""
        return self.height - TOP - BOTTOM

    def place(self, value: float) -> float:
        """Return the vertical place of `value` in pixels."""
        return TOP + (1 - self.y.share(value)) * self.inner


def line_chart(lines: Sequence[Line], frame: Frame, title: str, *, named: bool = False) -> str:
    """Return a line chart.

    Args:
        lines: drawn in this order; main lines and those of a single point with dots.
        frame: axes and height.
        title: what the chart shows, for screen readers.
        named: write the label of each main line at its end, moved apart where they would collide.
    """
    height = frame.height
    grid = []
    scale = []
    for value, label in frame.y.ticks:
        y = frame.place(value)
        grid.append(element("line", x1=0, x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}", class_="grid"))
        scale.append(element("text", text(label), x="100%", y=f"{y + 4:.1f}", text_anchor="end"))
    drawn = element(
        "svg",
        *(_line(line, frame) for line in lines),
        x=0,
        y=TOP,
        width="100%",
        height=frame.inner,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        class_="lines",
    )
    dots = [_dots(line, frame) for line in lines if line.style == "main" or len(line.x) == 1]
    plot = [*grid, drawn, *dots, frame.x.labels(height - 6)]
    return element(
        "div",
        element("svg", *scale, height=height, aria_hidden="true"),
        element("svg", *plot, height=height, role="img", aria_label=title),
        _end_labels([line for line in lines if line.style == "main"], frame) if named else "",
        class_="plot named" if named else "plot",
    )


def _line(line: Line, frame: Frame) -> str:
    def points(ys: Sequence[float]) -> list[str]:
        return [
            f"{100 * frame.x.share(x):.2f},{100 - 100 * frame.y.share(y):.2f}"
            for x, y in zip(line.x, ys)
            if math.isfinite(y)
        ]

    band = ""
    if line.low and line.high:
        outline = " ".join(points(line.low) + points(line.high)[::-1])
        band = element("polygon", points=outline, fill=line.colour, class_="band")
    path = " ".join(points(line.y))
    return band + element("polyline", points=path, stroke=line.colour, class_=line.style)


def _dots(line: Line, frame: Frame) -> str:
    return "".join(
        element(
            "circle", cx=frame.x.percent(x), cy=f"{frame.place(y):.1f}", r=2.5, fill=line.colour
        )
        for x, y in zip(line.x, line.y)
        if math.isfinite(y)
    )


def _end_labels(lines: Sequence[Line], frame: Frame) -> str:
    ends = [
        (frame.place(next(y for y in reversed(line.y) if math.isfinite(y))), line)
        for line in lines
        if any(math.isfinite(y) for y in line.y)
    ]
    ends.sort(key=lambda end: end[0])
    moved = spread_apart([y for y, _ in ends], LABEL_GAP, 8, frame.height - 8)
    parts = []
    for (y, line), at in zip(ends, moved):
        parts.append(element("line", x1=3, y1=f"{y:.1f}", x2=15, y2=f"{at:.1f}", class_="leader"))
        parts.append(element("circle", cx=20, cy=f"{at:.1f}", r=4, fill=line.colour))
        words = element("title", text(line.label)) + text(shortened(line.label))
        parts.append(element("text", words, x=28, y=f"{at + 4:.1f}"))
    return element("svg", *parts, height=frame.height, aria_hidden="true")


def shortened(label: str) -> str:
    """Return `label`, cut with an ellipsis where it would not fit its column."""
    return label if len(label) <= MAX_LABEL else label[: MAX_LABEL - 1] + "…"


def spread_apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move increasing `places` so that neighbours are `gap` apart, within [low, high] if they fit.

    >>> spread_apart([10.0, 12.0, 40.0], gap=10, low=0, high=45)
    [10.0, 20.0, 40.0]
    """
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap if moved else low))
    ceiling = high
    for index in range(len(moved) - 1, -1, -1):
        moved[index] = min(moved[index], ceiling)
        ceiling = moved[index] - gap
    return moved
