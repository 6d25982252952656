"""The dot chart: a row each, an interval with its mean, small dots for the parts.

Horizontal positions are percentages and text is never scaled, so it fits any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts.axis import Axis
from common.report.markup import element, swatch, text

STRIP_HEIGHT = 30
REFERENCE_LINE_HEIGHT = 16
NAME_LEFT = 0.6


@dataclass(frozen=True)
class DotRow:
    """A row of a dot chart: an interval line, a big dot at its mean, small dots, words beside.

    With `bar`, the mean is the end of a bar from the axis's low end.
    """

    label: str
    colour: str
    words: str
    small: tuple[tuple[float, str], ...] = ()
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    bar: bool = False


def dot_chart(
    rows: Sequence[DotRow], axis: Axis, references: Sequence[tuple[float, str]], title: str
) -> str:
    """Return a chart with one row per `DotRow` and named vertical reference lines.

    Args:
        rows: top to bottom.
        axis: shared by all rows; its ticks are written below the last.
        references: (value, name); names are written above the first row.
        title: what the axis measures, with its unit.
    """
    body = [_row("", _reference_heads(references, axis), "", "head")]
    for row in rows:
        label = swatch(row.colour, row.label)
        body.append(_row(label, _strip(row, axis, references), text(row.words)))
    scale = element("svg", axis.labels(14), height=20, aria_hidden="true")
    scale += element("div", text(title), class_="axis-title")
    body.append(_row("", scale, "", "scale"))
    return element("div", *body, class_="dots")


def _row(label: str, plot: str, words: str, kind: str = "") -> str:
    cells = (
        element("div", label, class_="row-label"),
        element("div", plot, class_="row-plot"),
        element("div", words, class_="row-words"),
    )
    return element("div", *cells, class_=f"row {kind}".strip())


def _reference_heads(references: Sequence[tuple[float, str]], axis: Axis) -> str:
    """Names of the reference lines, a row each, in an order in which no line crosses a name."""
    left = sorted(reference for reference in references if axis.share(reference[0]) < NAME_LEFT)
    right = sorted(set(references) - set(left), reverse=True)
    height = REFERENCE_LINE_HEIGHT * len(references)
    parts = []
    for index, (value, name) in enumerate([*left, *right]):
        y = REFERENCE_LINE_HEIGHT * index
        x = axis.percent(value)
        dx, anchor = (5, "start") if index < len(left) else (-5, "end")
        parts.append(element("line", x1=x, x2=x, y1=y + 3, y2=height, class_="reference"))
        parts.append(
            element("text", text(name), x=x, dx=dx, y=y + 12, text_anchor=anchor, class_="halo")
        )
    return element("svg", *parts, height=height, aria_hidden="true")


def _strip(row: DotRow, axis: Axis, references: Sequence[tuple[float, str]]) -> str:
    middle = STRIP_HEIGHT / 2
    parts = [element("line", x1=0, x2="100%", y1=middle, y2=middle, class_="grid")]
    if row.bar and row.mean is not None:
        box = {"x": 0, "y": f"{middle - 7:g}", "width": axis.percent(row.mean), "height": 14}
        box |= {"fill": row.colour, "class_": "bar"}
        parts.append(element("rect", element("title", text(row.words)), **box))
    for value, _ in references:
        x = axis.percent(value)
        parts.append(element("line", x1=x, x2=x, y1=0, y2=STRIP_HEIGHT, class_="reference"))
    if row.low is not None and row.high is not None:
        ends = {"x1": axis.percent(row.low), "x2": axis.percent(row.high)}
        kind, colour = ("whisker", "var(--ink)") if row.bar else ("interval", row.colour)
        parts.append(element("line", **ends, y1=middle, y2=middle, stroke=colour, class_=kind))
    if row.mean is not None and not row.bar:
        mean = element("title", text(row.words))
        parts.append(
            element("circle", mean, cx=axis.percent(row.mean), cy=middle, r=6, fill=row.colour)
        )
    below = middle + 9 if row.mean is not None else middle
    for value, name in row.small:
        dot = {"cx": axis.percent(value), "cy": below, "fill": row.colour, "class_": "small"}
        parts.append(element("circle", element("title", text(name)), r=3, **dot))
    label = f"{row.label}: {row.words}"
    return element("svg", *parts, height=STRIP_HEIGHT, role="img", aria_label=label)
