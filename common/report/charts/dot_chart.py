"""The dot chart: a row each, an interval with its mean, small dots for the parts.

Horizontal positions are percentages and text is never scaled, so it fits any width.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts.axis import Axis
from common.report.markup import Markup, render

NAME_HEIGHT = 16
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
) -> Markup:
    """Return a chart with one row per `DotRow` and named vertical reference lines.

    Args:
        rows: top to bottom.
        axis: shared by all rows; its ticks are written below the last.
        references: (value, name); names are written above the first row.
        title: what the axis measures, with its unit.
    """
    left = sorted(reference for reference in references if axis.share(reference[0]) < NAME_LEFT)
    right = sorted(set(references) - set(left), reverse=True)  # no line crosses a name
    names = [(*each, each in left) for each in (*left, *right)]
    given = {"names": names, "name_height": NAME_HEIGHT, "references": references}
    return render("dot_chart", rows=rows, axis=axis, title=title, **given)
