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

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit, softmax
from scipy.stats import linregress
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression

from common.checks import InputError, require
from common.files import below

__all__ = [
    "FEWEST",
    "AgeCalibration",
    "Reference",
    "ScoreCalibration",
    "TemperatureCalibration",
    "read_reference",
]

FEWEST = 10  # scans
OF_A_CLASS = 3
LEVEL = 0.95
DRAWS = 200
SURE = 1e-6  # probabilities nearer to 0 or 1 count as this near
MOST_AGE = 120

Floats = NDArray[np.float64]
Interval = tuple[float, float]


@dataclass(frozen=True)
class Reference:
    """One scan of a table of reference scans.

    Attributes:
        path: the file or folder of the scan.
        known: its age in years, or the number of its class.
    """

    path: Path
    known: float


def read_reference(path: str | Path, classes: Sequence[str] = ()) -> list[Reference]:
    """Read a CSV of reference scans: a column ``file``, and ``age`` or ``label``.

    Args:
        path: comma, semicolon or tab between columns; files are relative to its folder.
        classes: names of the model's classes; none for a model of ages.

    Raises:
        InputError: no such file, no such column, fewer than ten scans, one twice, an age that is
            none, or a class that the model has not.
    """
    path = Path(path)
    column = "label" if classes else "age"
    rows = _rows(path, column)
    found: list[Reference] = []
    for line, row in enumerate(rows, start=2):
        where = f"{path}: row {line}"
        name = (row.get("file") or "").strip()
        require(
            bool(name), f"{where}: file must be filled, got nothing. Fill it or remove the row."
        )
        text = (row.get(column) or "").strip()
        known = _class(text, classes, where) if classes else _age(text, where)
        found.append(Reference(below(path.parent, name, where), known))
    require(
        len({reference.path for reference in found}) == len(found),
        f"{path}: every scan must be listed once, got one twice. Remove one of the two rows.",
    )
    require_enough(len(found), str(path))
    return found


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
    def fit(cls, predicted: Sequence[float], age: Sequence[float]) -> "AgeCalibration":
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

    def age(self, predicted: Floats) -> Floats:
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
            else f"slope {self.slope:.2f} (95 % interval {_ends(self.slope_interval, 2)})"
        )
        return (
            f"calibrated on {self.scans} reference scans of ages {self.youngest:.0f} to "
            f"{self.oldest:.0f}: predictions were {self.offset:+.1f} years off (95 % interval "
            f"{_ends(self.offset_interval, 1)}), {slope}; 95 % of healthy people lie within "
            f"{self.reach:.1f} years of their age"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "age", **asdict(self), "told": self.told}


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
    def fit(
        cls, probability: Sequence[float], label: Sequence[int], seed: int = 0
    ) -> "ScoreCalibration":
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
        draws = list(_draws(y, seed))
        slopes = np.array([_platt(z[rows], y[rows])[1] for rows in draws])
        low, high = _quantiles(slopes)
        free = not low <= 1 <= high
        fit = _platt if free else _shift
        offset, slope = fit(z, y)
        offsets = np.array([fit(z[rows], y[rows])[0] for rows in draws])
        positive = int((y == 1).sum())
        return cls(len(y), positive, offset, _quantiles(offsets), slope, (low, high))

    def probability(self, probability: Floats) -> Floats:
        """Return the calibrated probabilities ``(N,)``."""
        return np.asarray(expit(self.offset + self.slope * _log_odds(probability)))

    @property
    def told(self) -> str:
        """What every output says of it, in a line."""
        slope = (
            "slope kept at 1"
            if self.slope == 1.0
            else f"slope {self.slope:.2f} (95 % interval {_ends(self.slope_interval, 2)})"
        )
        return (
            f"calibrated on {self.scans} reference scans, {self.positive} of them positive: log "
            f"odds shifted by {self.offset:+.2f} (95 % interval {_ends(self.offset_interval, 2)}), "
            f"{slope}; holds where {self.positive / self.scans:.0%} are positive"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "score", **asdict(self), "told": self.told}


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
        found = np.array([_temperature(logs[rows], y[rows]) for rows in _draws(y, seed)])
        return cls(len(y), _temperature(logs, y), _quantiles(found))

    def probability(self, probability: NDArray[np.floating[Any]]) -> Floats:
        """Return the calibrated probabilities ``(N, K)``."""
        logs = np.log(np.clip(probability, SURE, 1))
        return np.asarray(softmax(logs / self.temperature, axis=1))

    @property
    def told(self) -> str:
        """What every output says of it, in a line."""
        return (
            f"calibrated on {self.scans} reference scans: temperature {self.temperature:.2f} "
            f"(95 % interval {_ends(self.interval, 2)})"
        )

    def record(self) -> dict[str, Any]:
        """Return the numbers and the line, for JSON."""
        return {"kind": "temperature", **asdict(self), "told": self.told}


def _rows(path: Path, column: str) -> list[Mapping[str, str]]:
    """Rows of a table with a header that has ``file`` and `column`."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"{path}: --reference must be a CSV in UTF-8, got none. Give its path."
        ) from None
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    names = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    for needed in ("file", column):
        require(
            needed in names,
            f"{path}: must have the columns file and {column}, got no {needed}. Add it.",
        )
    return list(reader)


def _age(text: str, where: str) -> float:
    try:
        age = float(text)
    except ValueError:
        age = math.nan
    require(
        0 <= age <= MOST_AGE,
        f"{where}: age must be years, 0 to {MOST_AGE}, got something else. Correct the row.",
    )
    return age


def _class(text: str, classes: Sequence[str], where: str) -> float:
    names = ["other", *classes] if len(classes) == 1 else list(classes)
    if text in names:
        return float(names.index(text))
    require(
        text.isdecimal() and int(text) < len(names),
        f"{where}: label must be a class of the model ({', '.join(names)}) or its number, 0 to "
        f"{len(names) - 1}, got something else. Correct the row.",
    )
    return float(text)


def _log_odds(probability: Any) -> Floats:
    return np.asarray(logit(np.clip(np.asarray(probability, float), SURE, 1 - SURE)))


def _targets(y: NDArray[Any]) -> Floats:
    """Platt's softened labels: (N1 + 1) / (N1 + 2) and 1 / (N0 + 2)."""
    ones = int((y == 1).sum())
    return np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))


def _platt(z: Floats, y: NDArray[Any]) -> tuple[float, float]:
    """Offset and slope of the log odds by maximum likelihood."""
    soft = _targets(y)
    twice, weight = np.concatenate([z, z])[:, None], np.concatenate([soft, 1 - soft])
    labels = np.repeat([1, 0], len(z))
    model = LogisticRegression(C=np.inf, solver="newton-cholesky").fit(
        twice, labels, sample_weight=weight
    )
    return float(model.intercept_[0]), float(model.coef_[0, 0])


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

    found = minimize_scalar(loss, bounds=(-math.log(20), math.log(20)), method="bounded")
    return math.exp(float(found.x))


def _draws(y: NDArray[Any], seed: int) -> Any:
    """Bootstrap samples of the rows, each class as often as it is there."""
    generator = np.random.default_rng(seed)
    groups = [np.flatnonzero(y == value) for value in np.unique(y)]
    for _ in range(DRAWS):
        yield np.concatenate([generator.choice(rows, len(rows)) for rows in groups])


def _quantiles(values: Floats) -> Interval:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _ends(interval: Interval, digits: int) -> str:
    return " to ".join(f"{end:.{digits}f}" for end in interval)
