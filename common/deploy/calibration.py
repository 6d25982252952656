"""What scans of one's own scanner, of known age or class, say about a model's predictions there.

A model sees an unknown scanner with an offset, which no number computed from one scan can tell from
biology. Ten or more reference scans of that scanner can: their predictions are compared with what
is known of them, and what is found corrects the predictions and goes with them, with its interval.

Ages: ``predicted = age + offset + (slope - 1) (age - centre) + noise`` by least squares, `centre`
the mean age of the reference. Probabilities: ``logit p' = offset + slope logit p`` (Platt 1999,
with his softened labels, so that separable scans have an answer). Both keep the slope at 1 unless
its 95 % interval says otherwise: ten scans know an offset, hardly ever a slope, and a noisy slope
costs more than it mends. Several classes: one temperature (Guo et al. 2017,
https://arxiv.org/abs/1706.04599).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import linregress
from scipy.stats import t as student

from common.checks import require

__all__ = ["FEWEST", "AgeCalibration", "require_enough"]

FEWEST = 10  # scans
LEVEL = 0.95

Floats = NDArray[np.float64]
Interval = tuple[float, float]
Numbers = Sequence[float] | NDArray[np.floating[Any]]


def require_enough(count: int, what: str) -> None:
    """Refuse fewer than `FEWEST` reference scans, which say next to nothing of a scanner."""
    require(
        count >= FEWEST,
        f"{what}: must be at least {FEWEST} reference scans that can be read, got {count}. "
        "Add scans, or leave --reference out.",
    )


@dataclass(frozen=True)
class AgeCalibration:
    """Offset and slope of predicted ages on one scanner.

    Attributes:
        scans: number of reference scans.
        centre: their mean age, years.
        offset: mean of predicted - true age there, years; positive: too old.
        offset_interval: of 95 %, by Student's t.
        slope: years of predicted age a year of age; 1 unless the interval excludes it.
        slope_interval: of 95 %, by Student's t.
        spread: standard deviation of the reference scans about the line, years of predicted age.
        youngest: of the reference scans, years.
        oldest: of the reference scans, years.
    """

    scans: int
    centre: float
    offset: float
    offset_interval: Interval
    slope: float
    slope_interval: Interval
    spread: float
    youngest: float
    oldest: float

    @classmethod
    def fit(cls, predicted: Numbers, age: Numbers) -> "AgeCalibration":
        """Estimate from predictions of healthy people of known ages.

        Raises:
            InputError: fewer than ten, all of one age, or predictions that do not follow the ages.
        """
        y, x = np.asarray(predicted, float), np.asarray(age, float)
        n = len(y)
        require_enough(n, "--reference")
        require(
            float(np.ptp(x)) > 0,
            "--reference: the scans must be of different ages, got one. Add others.",
        )
        line = linregress(x, y)
        reach = float(student.ppf((1 + LEVEL) / 2, n - 2)) * line.stderr
        low, high = line.slope - reach, line.slope + reach
        free = not low <= 1 <= high
        require(
            not free or low > 0,
            f"--reference: predicted ages must rise with the known ages, got a slope of "
            f"{line.slope:.2f} (95 % interval {low:.2f} to {high:.2f}). Check that table and scans "
            "belong together and that the scans were prepared as the model's.",
        )
        slope, centre, offset = (line.slope if free else 1.0), x.mean(), (y - x).mean()
        rest = y - x - offset - (slope - 1) * (x - centre)
        freedom = n - 1 - free
        spread = math.sqrt(float(rest @ rest) / freedom)
        reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * spread / math.sqrt(n)
        return cls(
            n,
            float(centre),
            float(offset),
            (float(offset - reach), float(offset + reach)),
            float(slope),
            (float(low), float(high)),
            spread,
            float(x.min()),
            float(x.max()),
        )

    def expected(self, age: Floats) -> Floats:
        """Return what is predicted, on average, of healthy people of `age` on this scanner."""
        return np.asarray(age + self.offset + (self.slope - 1) * (age - self.centre))

    def age(self, predicted: NDArray[np.floating[Any]]) -> Floats:
        """Return the calibrated ages ``(N,)``: the ages of which `predicted` is expected."""
        return np.asarray(self.centre + (predicted - self.centre - self.offset) / self.slope)

    @property
    def reach(self) -> float:
        """Half of the 95 % range, in years, of healthy people's calibrated ages about their own."""
        freedom = self.scans - 1 - (self.slope != 1.0)
        quantile = float(student.ppf((1 + LEVEL) / 2, freedom))
        return quantile * self.spread * math.sqrt(1 + 1 / self.scans) / self.slope

    @property
    def told(self) -> str:
        """What every output says of it, in a line."""
        slope = (
            "slope kept at 1"
            if self.slope == 1.0
            else f"slope {self.slope:.2f} (95 % interval {ends(self.slope_interval, 2)})"
        )
        return (
            f"calibrated on {self.scans} reference scans of ages {self.youngest:.0f} to "
            f"{self.oldest:.0f}: predictions were {self.offset:+.1f} years off (95 % interval "
            f"{ends(self.offset_interval, 1)}), {slope}; 95 % of healthy people lie within "
            f"{self.reach:.1f} years of their age"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "age", **asdict(self), "told": self.told}


def ends(interval: Interval, digits: int) -> str:
    """Return an interval in words."""
    return " to ".join(f"{end:.{digits}f}" for end in interval)
