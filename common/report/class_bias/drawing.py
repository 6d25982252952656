"""What the sections share: scale, colours, lines with error bars, numbers as words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts import Frame, Line, nice_axis
from common.report.class_bias.result import ClassBias, Control, Curve, Series

__all__ = [
    "OVERALL",
    "PANEL",
    "Scale",
    "frame",
    "line",
    "number",
    "p_value",
    "percent",
    "shade",
    "written",
]

OVERALL = "all images"
HEIGHT, PANEL = 280, 150  # pixels
COLOURS = [f"var(--strategy-{k})" for k in (2, 4, 6, 3, 5, 0, 1)]


@dataclass(frozen=True)
class Scale:
    """From the figures of an analysis to those shown: shares become per cent."""

    factor: float
    unit: str

    @classmethod
    def of(cls, found: ClassBias) -> "Scale":
        """Of the curves of classes."""
        curves = [curve for one in found.series for curve in one.classes]
        shares = all(0 <= value <= 1 for curve in curves for value in curve.mean)
        return cls(100.0, "%") if shares else cls(1.0, "")

    def shown(self, values: Sequence[float]) -> tuple[float, ...]:
        """Return figures as they are shown."""
        return tuple(self.factor * value for value in values)


def shade(number: int) -> str:
    """Return the colour of a series."""
    return COLOURS[number % len(COLOURS)]


def line(one: Series, curve: Curve, colour: str, scale: Scale) -> Line:
    """Return a curve with a bar of one standard deviation to both sides."""
    mean, std = scale.shown(curve.mean), scale.shown(curve.std)
    low, high = (tuple(m + sign * s for m, s in zip(mean, std)) for sign in (-1, 1))
    return Line(one.values, mean, colour, curve.name or OVERALL, low, high, bars=True)


def frame(one: Series, lines: Sequence[Line], scale: Scale, height: int = HEIGHT) -> Frame:
    """Return axes over all of `lines`; those of a panel have no title."""
    ys = [y for each in lines for y in (*each.y, *each.low, *each.high) if math.isfinite(y)]
    across = nice_axis(one.values[0], one.values[-1], 4 if height > PANEL else 2)
    up = nice_axis(min(ys), max(ys), 5 if height > PANEL else 3)
    if height > PANEL:
        across, up = across.titled(one.dial), up.titled(scale.unit)
    return Frame(across, up, height)


def percent(share: float) -> str:
    """Return a share as whole per cent; below one, with a decimal."""
    return f"{100 * share:.1f} %" if 0 < share < 0.0095 else f"{100 * share:.0f} %"


def written(control: Control, decimals: int = 0) -> str:
    """Return what a control gives: mean and 95 % of the draws, in per cent."""
    ends = f"{100 * control.low:.{decimals}f}–{100 * control.high:.{decimals}f}"
    return f"{100 * control.mean:.{decimals}f} % ({ends})"


def number(value: float, form: str = ".2f") -> str:
    """Return a number with a minus sign that is one."""
    return f"{value:{form}}".replace("-", "−")


def p_value(value: float) -> str:
    """Return a p-value; SciPy's of Spearman for few values is too small where it is small."""
    return f"p = {value:.2g}" if value >= 1e-4 else "p < 0.0001"
