"""A finished run as the report sees it; `common.report.load` reads it from a folder."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from common.report.kind import Epoch, Kind, Measure, Result
from common.report.schema import Text, Unknown, refuse

R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class About:
    """Who was evaluated and what with: the first keys of ``evaluation.json``."""

    bundle: Text
    strategy: Text
    seed: int
    settings: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    date: str = ""
    data_set: str = ""


@dataclass(frozen=True)
class History:
    """Training terms: the epochs, and per term one value an epoch (NaN where not recorded)."""

    epoch: tuple[Unknown, ...]
    terms: dict[str, tuple[Unknown, ...]]

    def __post_init__(self) -> None:
        for name, values in self.terms.items():
            if len(values) != len(self.epoch):
                refuse(f"terms.{name}", f"a list of {len(self.epoch)} numbers")


@dataclass(frozen=True)
class Figure:
    """A number with its interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, result: Any, name: str) -> "Figure":
        """Return the figure called `name` of a result, with its interval."""
        return cls(getattr(result, name), *getattr(result.interval, name))


@dataclass(frozen=True)
class Run:
    """One trained and evaluated model; figures are in the units shown.

    Attributes:
        folder: where it lies.
        about: who was evaluated, what with.
        kind: of its evaluation.
        result: of the kind's own schema.
        history: None where none was kept.
    """

    folder: Path
    about: About
    kind: Kind
    result: Result
    history: History | None

    @property
    def bundle(self) -> str:
        """Name of the bundle."""
        return self.about.bundle

    @property
    def strategy(self) -> str:
        """Key of the strategy."""
        return self.about.strategy

    @property
    def seed(self) -> int:
        """Seed of the training."""
        return self.about.seed

    @property
    def measure(self) -> Measure:
        """What the run is judged by."""
        return self.kind.measure

    @property
    def part(self) -> str | None:
        """The part that was scored, where the kind records it."""
        return getattr(self.result, "part", None)

    @cached_property
    def arrays(self) -> Any:
        """What the kind shows of the archives in the folder."""
        return self.kind.arrays(self)

    def figure(self, holder: Any, key: str = "") -> float:
        """The figure of `holder`, an object of the result, as shown."""
        return self.measure.scale * float(getattr(holder, key or self.measure.key))

    @property
    def value(self) -> float:
        """The last epoch's figure."""
        return self.figure(self.result)

    @property
    def interval(self) -> Figure:
        """The last epoch's figure with its interval."""
        low, high = getattr(self.result.interval, self.measure.key)
        return Figure(self.value, self.measure.scale * low, self.measure.scale * high)

    @property
    def level(self) -> float:
        """Probability that the interval is meant to cover."""
        return float(self.result.interval.level)

    @property
    def method(self) -> str:
        """How the interval was made."""
        return str(self.result.interval.method)

    @property
    def epochs(self) -> list[Epoch]:
        """The figures of the epochs, in order."""
        return sorted(self.result.epochs, key=lambda each: each.epoch)

    @property
    def baselines(self) -> dict[str, float]:
        """The figure of each baseline."""
        return {name: self.figure(entry) for name, entry in self.result.baselines.items()}

    @property
    def chance(self) -> float | None:
        """The figure of guessing."""
        chance = self.measure.chance if self.result.chance is None else self.result.chance
        return None if chance is None else self.measure.scale * chance


def results(runs: Iterable[Run], of: type[R]) -> list[R]:
    """The results of one kind, in the order of the runs."""
    return [run.result for run in runs if isinstance(run.result, of)]


def finite_mean(values: Sequence[float]) -> float:
    """Return the mean of the finite entries, NaN when there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
