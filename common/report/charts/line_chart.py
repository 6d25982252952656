"""The line chart: lines with bands, labels at their ends.

Horizontal positions are percentages and text is never scaled, so it fits any width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts.axis import Axis, nice_axis
from common.report.markup import Markup, render

TOP, BOTTOM = 10, 24
LABEL_GAP = 17
MAX_LABEL = 27


@dataclass(frozen=True)
class Line:
    """A line of a chart, perhaps with a band between `low` and `high`; NaN points are left out.

    `style` is "main" (thick, with dots and a label), "mean" (thick), "seed" (thin), "context" (thin
    and grey), "guess" (dashed) or "chosen" (one large dot). With `bars` a line stands at each point
    from `low` to `high`, and there is no band.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    colour: str
    label: str = ""
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    style: str = "main"
    bars: bool = False

    @property
    def dotted(self) -> bool:
        """Whether its points are drawn."""
        return self.style == "main" or len(self.x) == 1

    @property
    def named(self) -> bool:
        """Whether its label can stand at its end."""
        return self.style == "main" and bool(self.known)

    @property
    def known(self) -> list[tuple[float, float]]:
        """The points that are there."""
        return [(x, y) for x, y in zip(self.x, self.y) if math.isfinite(y)]

    @property
    def spans(self) -> list[tuple[float, float, float]]:
        """Place, low and high end of each bar."""
        every = zip(self.x, self.low, self.high) if self.bars else ()
        return [(x, low, high) for x, low, high in every if math.isfinite(low + high)]

    @property
    def short(self) -> str:
        """The label, cut where it would not fit its column."""
        return shortened(self.label)

    def told(self, x: float, y: float) -> str:
        """Return what is told of a point under the pointer."""
        return f"{self.label and self.label + ', '}{x:.4g}: {y:.4g}".replace("-", "−")

    def points(self, frame: "Frame", ys: Sequence[float]) -> list[str]:
        """Return places of points, in percent of the drawing area."""
        return [
            f"{100 * frame.x.share(x):.2f},{100 - 100 * frame.y.share(y):.2f}"
            for x, y in zip(self.x, ys)
            if math.isfinite(y)
        ]

    def band(self, frame: "Frame") -> str:
        """Return the outline of the band."""
        return " ".join(self.points(frame, self.low) + self.points(frame, self.high)[::-1])


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


def steps(edges: Sequence[float], counts: Sequence[float], colour: str, label: str = "") -> Line:
    """Return the outline of a histogram of shares, filled.

    Args:
        edges: borders of the bins.
        counts: of each bin; drawn as shares of their sum.
        colour: of the line.
        label: what it counts.
    """
    total = sum(counts) or 1.0
    x = (edges[0], *[edge for edge in edges for _ in range(2)][1:-1], edges[-1])
    y = (0.0, *[count / total for count in counts for _ in range(2)], 0.0)
    return Line(x, y, colour, label, low=tuple(0.0 for _ in y), high=y, style="mean")


def reliability_chart(points: Sequence[tuple[float, float]], share: str) -> Markup:
    """Return what came true over what was said, both in [0, 1], beside their agreement.

    Args:
        points: (mean probability, share that came true) of each bin.
        share: what the upward axis counts.
    """
    across, up = ((*part,) for part in zip(*points))
    agreed = Line((0.0, 1.0), (0.0, 1.0), "var(--faint)", style="guess")
    unit = nice_axis(0.0, 1.0, 4)
    frame = Frame(unit.titled("probability said"), unit.titled(share), 300)
    return line_chart([agreed, Line(across, up, "var(--accent)")], frame, "Reliability curve")


def line_chart(lines: Sequence[Line], frame: Frame, title: str, *, named: bool = False) -> Markup:
    """Return a line chart.

    Args:
        lines: drawn in this order; main lines and those of a single point with dots.
        frame: axes and height.
        title: what the chart shows, for screen readers.
        named: write the label of each main line at its end, moved apart where they would collide.
    """
    given = {"top": TOP, "ends": _ends(lines, frame) if named else None}
    return render("line_chart", lines=lines, frame=frame, title=title, **given)


def _ends(lines: Sequence[Line], frame: Frame) -> list[tuple[Line, float, float]]:
    """Each main line, the height it ends at, and where its label goes."""
    ends = [(frame.place(line.known[-1][1]), line) for line in lines if line.named]
    ends.sort(key=lambda end: end[0])
    moved = spread_apart([y for y, _ in ends], LABEL_GAP, 8, frame.height - 8)
    return [(line, y, at) for (y, line), at in zip(ends, moved)]


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
