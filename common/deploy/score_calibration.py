"""Probabilities of scans of known class from one's own scanner: Platt scaling, or a temperature.

One probability: ``logit p' = offset + slope logit p`` (Platt 1999, with his softened labels, so
that separable scans have an answer). The slope stays 1 unless its 95 % interval says otherwise: ten
scans know an offset, hardly ever a slope. Several classes: one temperature (Guo et al. 2017,
https://arxiv.org/abs/1706.04599).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit, softmax
from sklearn.linear_model import LogisticRegression

from common.checks import require
from common.deploy.calibration import LEVEL, Floats, Interval, Numbers, ends, require_enough

__all__ = ["ScoreCalibration", "TemperatureCalibration"]

OF_A_CLASS = 3
DRAWS = 200
TRACE = 1e-3
LEAST = 1e-2  # standard deviation of log odds below which they are all alike
SURE = 1e-6  # probabilities nearer to 0 or 1 count as this near


@dataclass(frozen=True)
class ScoreCalibration:
    """Platt scaling of one probability on one scanner.

    Attributes:
        scans: number of reference scans.
        positive: of them, of the class that the probability is of.
        offset: of the log odds.
        offset_interval: of 95 %, by a bootstrap of the scans within their classes.
        slope: of the log odds; 1 unless its interval excludes it.
        slope_interval: likewise.
    """

    scans: int
    positive: int
    offset: float
    offset_interval: Interval
    slope: float
    slope_interval: Interval

    @classmethod
    def fit(cls, probability: Numbers, label: Sequence[int], seed: int = 0) -> "ScoreCalibration":
        """Estimate from probabilities of scans of known class.

        Raises:
            InputError: fewer than ten scans, or fewer than three of a class.
        """
        z, y = _log_odds(probability), np.asarray(label, int)
        require_enough(len(y), "--reference")
        fewest = min(int((y == 1).sum()), int((y == 0).sum()))
        require(
            fewest >= OF_A_CLASS,
            f"--reference: must hold at least {OF_A_CLASS} scans of each class, got {fewest} of "
            "one. Add some: an offset cannot be told from one class.",
        )
        require(
            float(z.std()) > LEAST,
            "--reference: the probabilities of the scans must differ, got about the same of each. "
            "Check that the model fits the scans.",
        )
        draws = list(_draws(y, seed))
        slopes = np.array([_platt(z[rows], y[rows])[1] for rows in draws])
        low, high = _quantiles(slopes)
        free = not low <= 1 <= high
        fit = _platt if free else _shift
        offset, slope = fit(z, y)
        offsets = np.array([fit(z[rows], y[rows])[0] for rows in draws])
        positive = int((y == 1).sum())
        return cls(len(y), positive, offset, _quantiles(offsets), slope, (low, high))

    def probability(self, probability: NDArray[np.floating[Any]]) -> Floats:
        """Return the calibrated probabilities ``(N,)``."""
        return np.asarray(expit(self.offset + self.slope * _log_odds(probability)))

    @property
    def summary(self) -> str:
        """What every output says of it, in a line."""
        slope = (
            "slope kept at 1"
            if self.slope == 1.0
            else f"slope {self.slope:.2f} (95 % interval {ends(self.slope_interval, 2)})"
        )
        return (
            f"calibrated on {self.scans} reference scans, {self.positive} of them positive: log "
            f"odds shifted by {self.offset:+.2f} (95 % interval {ends(self.offset_interval, 2)}), "
            f"{slope}; holds where {self.positive / self.scans:.0%} are positive"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "score", **asdict(self), "summary": self.summary}


@dataclass(frozen=True)
class TemperatureCalibration:
    """One temperature for the probabilities of several classes on one scanner.

    Attributes:
        scans: number of reference scans.
        temperature: the log probabilities are divided by it; above 1: the model was too sure.
        interval: of 95 %, by a bootstrap of the scans within their classes.
    """

    scans: int
    temperature: float
    interval: Interval

    @classmethod
    def fit(
        cls, probability: NDArray[np.floating[Any]], label: Sequence[int], seed: int = 0
    ) -> "TemperatureCalibration":
        """Estimate from probabilities ``(N, K)`` of scans of known class.

        Raises:
            InputError: fewer than ten scans, or all of one class.
        """
        logs, y = np.log(np.clip(probability, SURE, 1)), np.asarray(label, int)
        require_enough(len(y), "--reference")
        require(
            len(np.unique(y)) > 1,
            "--reference: must hold scans of more than one class, got one. Add others.",
        )
        temperatures = np.array([_temperature(logs[rows], y[rows]) for rows in _draws(y, seed)])
        return cls(len(y), _temperature(logs, y), _quantiles(temperatures))

    def probability(self, probability: NDArray[np.floating[Any]]) -> Floats:
        """Return the calibrated probabilities ``(N, K)``."""
        logs = np.log(np.clip(probability, SURE, 1))
        return np.asarray(softmax(logs / self.temperature, axis=1))

    @property
    def summary(self) -> str:
        """What every output says of it, in a line."""
        return (
            f"calibrated on {self.scans} reference scans: temperature {self.temperature:.2f} "
            f"(95 % interval {ends(self.interval, 2)})"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "temperature", **asdict(self), "summary": self.summary}


def _log_odds(probability: Any) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(probability, float), SURE, 1 - SURE)))


def _targets(y: NDArray[Any]) -> Floats:
    """Platt's softened labels: (N1 + 1) / (N1 + 2) and 1 / (N0 + 2)."""
    ones = int((y == 1).sum())
    return np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))


def _platt(z: Floats, y: NDArray[Any]) -> tuple[float, float]:
    """Offset and slope of the log odds by maximum likelihood; a trace of a penalty on the slope."""
    soft, middle, scale = _targets(y), z.mean(), max(float(z.std()), LEAST)
    twice = np.concatenate([z, z])[:, None] - middle
    model = LogisticRegression(C=1 / TRACE).fit(
        twice / scale,
        np.repeat([1, 0], len(z)),
        sample_weight=np.concatenate([soft, 1 - soft]),
    )
    slope = float(model.coef_[0, 0]) / scale
    return float(model.intercept_[0]) - slope * middle, slope


def _shift(z: Floats, y: NDArray[Any]) -> tuple[float, float]:
    """Offset of the log odds by maximum likelihood with the slope 1: the means agree."""
    wanted = _targets(y).sum()
    offset = brentq(lambda shift: expit(z + shift).sum() - wanted, -60.0, 60.0)
    return float(offset), 1.0


def _temperature(logs: Floats, y: NDArray[Any]) -> float:
    """Temperature of the highest likelihood, between 1/20 and 20."""

    def loss(log_t: float) -> float:
        p = softmax(logs / math.exp(log_t), axis=1)
        return -float(np.log(np.clip(p[np.arange(len(y)), y], 1e-12, 1)).sum())

    minimum = minimize_scalar(loss, bounds=(-math.log(20), math.log(20)), method="bounded")
    return math.exp(float(minimum.x))


def _draws(y: NDArray[Any], seed: int) -> Iterator[NDArray[np.intp]]:
    """Bootstrap samples of the rows, each class as often as it is there."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == value) for value in np.unique(y)]
    for _ in range(DRAWS):
        yield np.concatenate([generator.choice(rows, len(rows)) for rows in groups])


def _quantiles(values: Floats) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
