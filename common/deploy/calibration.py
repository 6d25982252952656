"""What scans of one's own scanner, of known age or class, say about a model's predictions there.

A model sees an unknown scanner with an offset, which no number computed from one scan can tell from
biology. Ten or more reference scans of that scanner can: their predictions are compared with what
is known of them, and what is found corrects the predictions and goes with them, with its interval.

Ages: the offset, the mean of predicted less known age, is taken off the predictions. The slope of
predicted on known age is estimated too. Where its 95 % interval excludes 1, as it does where
predictions lean to the training's mean, a gap is taken from that line, so that it does not depend
on age (de Lange and Cole 2020, https://doi.org/10.1016/j.nicl.2020.102229). Predicted ages are not
divided by the slope: that multiplies their noise, and made them worse at most sites that were tried
(benchmarks/familiarity.md).

Probabilities and classes: `common.deploy.score_calibration`.
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
        slope: years of predicted age a year of age.
        slope_interval: of 95 %, by Student's t.
        spread: standard deviation of predicted - true age, years.
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
        low, high = float(line.slope - reach), float(line.slope + reach)
        require(
            high > 0,
            f"--reference: predicted ages must not fall with the known ages, got a slope of "
            f"{line.slope:.2f} (95 % interval {low:.2f} to {high:.2f}). Check that table and scans "
            "belong together and that the scans were prepared as the model's.",
        )
        gaps = y - x
        offset, spread = float(gaps.mean()), float(gaps.std(ddof=1))
        reach = float(student.ppf((1 + LEVEL) / 2, n - 1)) * spread / math.sqrt(n)
        return cls(
            scans=n,
            centre=float(x.mean()),
            offset=offset,
            offset_interval=(offset - reach, offset + reach),
            slope=float(line.slope),
            slope_interval=(low, high),
            spread=spread,
            youngest=float(x.min()),
            oldest=float(x.max()),
        )

    @property
    def leans(self) -> bool:
        """Whether the slope is surely not 1."""
        low, high = self.slope_interval
        return not low <= 1 <= high

    def age(self, predicted: NDArray[np.floating[Any]]) -> Floats:
        """Return the calibrated ages ``(N,)``: the predicted ones without the offset."""
        return np.asarray(predicted - self.offset, np.float64)

    def gap(self, predicted: NDArray[np.floating[Any]], age: NDArray[Any]) -> Floats:
        """Return ``(N,)`` how far predictions are above those of healthy people of that age here.

        Args:
            predicted: ``(N,)`` years, as the model gives them.
            age: ``(N,)`` true ages, years.
        """
        slope = self.slope if self.leans else 1.0
        expected = self.centre + self.offset + slope * (age - self.centre)
        return np.asarray(predicted - expected, np.float64)

    @property
    def reach(self) -> float:
        """Half of the 95 % range, in years, of healthy people's calibrated ages about their own."""
        quantile = float(student.ppf((1 + LEVEL) / 2, self.scans - 1))
        return quantile * self.spread * math.sqrt(1 + 1 / self.scans)

    @property
    def summary(self) -> str:
        """What every output says of it, in a line."""
        allowed = ", which the gaps allow for" if self.leans else ""
        return (
            f"calibrated on {self.scans} reference scans of ages {self.youngest:.0f} to "
            f"{self.oldest:.0f}: predictions were {self.offset:+.1f} years off (95 % interval "
            f"{ends(self.offset_interval, 1)}), which is taken off, and rose by {self.slope:.2f} "
            f"years a year ({ends(self.slope_interval, 2)}){allowed}; 95 % of healthy people lie "
            f"within {self.reach:.1f} years of their age"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "age", **asdict(self), "summary": self.summary}


def ends(interval: Interval, digits: int) -> str:
    """Return an interval in words."""
    return " to ".join(f"{end:.{digits}f}" for end in interval)
