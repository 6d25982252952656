"""Runs of one strategy taken together: the seeds behind one name, one colour, one mean."""

from collections.abc import Sequence
from dataclasses import dataclass

from common.report.runs import Run, finite_mean
from common.report.words import STRATEGIES, percent, strategy_name

N_SPARE_COLOURS = 4


@dataclass(frozen=True)
class Group:
    """The runs (seeds) of one strategy, at least one, by seed.

    Attributes:
        key: the strategy's key.
        colour: a CSS colour, the same in every chart.
        runs: the runs.
    """

    key: str
    colour: str
    runs: tuple[Run, ...]

    @property
    def name(self) -> str:
        """Short name, for charts."""
        return strategy_name(self.key).short

    @property
    def long_name(self) -> str:
        """Name inside a sentence."""
        return strategy_name(self.key).long

    @property
    def auc(self) -> float:
        """Mean AUC of the last epoch over seeds."""
        return finite_mean([run.auc for run in self.runs])

    @property
    def low(self) -> float:
        """Lower bound of the interval, averaged over seeds."""
        return finite_mean([run.interval.low for run in self.runs])

    @property
    def high(self) -> float:
        """Upper bound of the interval, averaged over seeds."""
        return finite_mean([run.interval.high for run in self.runs])

    @property
    def interval_words(self) -> str:
        """The interval for a sentence, e.g. ``95 % interval 0.88–0.93``."""
        return f"{percent(self.runs[0].interval.level)} interval {self.low:.2f}–{self.high:.2f}"


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Group runs by strategy: known strategies in the paper's order, then others by key."""
    known = list(STRATEGIES)
    others = sorted({run.strategy for run in runs} - set(known))
    present = {run.strategy for run in runs}
    colours = {key: f"var(--strategy-{index})" for index, key in enumerate(known)}
    colours |= {key: f"var(--spare-{index % N_SPARE_COLOURS})" for index, key in enumerate(others)}
    return [
        Group(
            key,
            colours[key],
            tuple(sorted((r for r in runs if r.strategy == key), key=lambda run: run.seed)),
        )
        for key in [*known, *others]
        if key in present
    ]


def baseline_means(runs: Sequence[Run]) -> dict[str, float]:
    """Return each baseline's AUC, averaged over the runs that have it."""
    names = sorted({name for run in runs for name in run.baselines})
    return {
        name: finite_mean([run.baselines[name] for run in runs if name in run.baselines])
        for name in names
    }
