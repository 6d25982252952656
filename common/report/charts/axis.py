"""Straight axes: from values to percentages of the width, and round ticks."""

import math
from dataclasses import dataclass, replace

from common.report.kind import Measure


@dataclass(frozen=True)
class Axis:
    """A straight axis from `low` to `high` with labelled `ticks`; `title` says of what."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""

    def titled(self, title: str) -> "Axis":
        """Return the axis with a title."""
        return replace(self, title=title)

    def share(self, value: float) -> float:
        """Return the place of `value` on the axis: 0 at `low`, 1 at `high`, not beyond."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def percent(self, value: float) -> str:
        """Return the place of `value` as a CSS percentage."""
        return f"{100 * self.share(value):.2f}%"


def nice_axis(low: float, high: float, count: int = 5, *, whole: bool = False) -> Axis:
    """Return an axis over [low, high] with about `count` round ticks inside it.

    Args:
        low: left or lower end.
        high: other end; an axis of no length is widened.
        count: wanted number of steps.
        whole: only whole numbers as ticks.

    >>> [label for _, label in nice_axis(0.5, 1.0).ticks]
    ['0.5', '0.6', '0.7', '0.8', '0.9', '1.0']
    """
    if high <= low:
        margin = 0.5 * (abs(low) or 1.0)
        low, high = low - margin, high + margin
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    ticks = [(value, f"{value:.{decimals}f}".replace("-", "−")) for value in values]
    return Axis(low, high, tuple(ticks))


def auc_axis(values: list[float]) -> Axis:
    """Return an axis for AUC: from chance, 0.5, or below where a value is below, to 1."""
    lowest = min([0.5, *values])
    return nice_axis(math.floor(lowest * 10 + 1e-9) / 10, 1.0)


def measure_axis(measure: Measure, values: list[float]) -> Axis:
    """Return an axis for the figures of runs: AUC from chance to 1, others a little beyond them."""
    if measure.chance == 0.5:
        return auc_axis(values)
    low, high = min(values), max(values)
    margin = 0.06 * ((high - low) or abs(high) or 1.0)
    top = min(high + margin, measure.scale * measure.highest)
    return nice_axis(max(0.0, low - margin), top)
