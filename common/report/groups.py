"""Runs of one strategy taken together: the seeds behind one name, one colour, one mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from common.report.charts import DotRow
from common.report.kind import Measure
from common.report.run import Figure, Run, finite_mean
from common.report.words import percent, plural, strategy_name

COLOURED = (  # of Ruppli et al. 2022: these have colours of their own
    *("supervised_100", "supervised_10", "base_simclr", "random", "random_supervised"),
    *("self_supervised", "self_supervised_supervised"),
)
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
        """What the strategy is called."""
        return strategy_name(self.key, self.runs[0].about.settings)

    @property
    def value(self) -> float:
        """Mean figure of the last epoch over seeds."""
        return finite_mean([run.value for run in self.runs])

    @property
    def measure(self) -> Measure:
        """What the runs are judged by."""
        return self.runs[0].measure

    @property
    def worse(self) -> float:
        """The end of the interval on the worse side."""
        return self.high if self.measure.lower_is_better else self.low

    @property
    def written(self) -> str:
        """The mean figure as text."""
        return self.measure.written(self.value)

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
        ends = self.measure.interval(self.low, self.high)
        return f"{percent(self.runs[0].level)} interval {ends}"


def group_runs(runs: Sequence[Run]) -> list[Group]:
    """Group runs by strategy: those of `COLOURED` as there, then others by key."""
    known = list(COLOURED)
    present = {run.strategy for run in runs}
    others = sorted(present - set(known))
    colours = {key: f"var(--strategy-{index})" for index, key in enumerate(known)}
    spare = [f"var(--spare-{index})" for index in range(N_SPARE_COLOURS)]
    spare += [colours[key] for key in known[::-1] if key not in present]
    colours |= {key: spare[index % len(spare)] for index, key in enumerate(others)}
    return [
        Group(
            key,
            colours[key],
            tuple(sorted((r for r in runs if r.strategy == key), key=lambda run: run.seed)),
        )
        for key in [*known, *others]
        if key in present
    ]


def group_row(
    group: Group,
    figures: Sequence[tuple[int, Figure]],
    decimals: int,
    written: Callable[[float], str] = "{:.3f}".format,
    *,
    unit: str = "",
    bar: bool = False,
) -> DotRow:
    """Return the row of a group: means over seeds as dot and interval, seeds as small dots.

    Args:
        group: the strategy.
        figures: seed and figure of each run that has one.
        decimals: of the mean and the interval.
        written: writes the figure of a seed.
        unit: behind the interval.
        bar: whether the mean is the end of a bar, which has no small dots.
    """
    mean, low, high = (
        finite_mean([getattr(figure, part) for _, figure in figures])
        for part in ("value", "low", "high")
    )
    several = len(figures) > 1 and not bar
    words = f"{mean:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f}{unit})"
    words += f", {plural(len(figures), 'seed')}" if several else ""
    dots = tuple((each.value, f"seed {seed}: {written(each.value)}") for seed, each in figures)
    return DotRow(group.name, group.colour, words, dots if several else (), mean, low, high, bar)


def baseline_means(runs: Sequence[Run]) -> dict[str, float]:
    """Return each baseline's figure, averaged over the runs that have it."""
    names = sorted({name for run in runs for name in run.baselines})
    return {
        name: finite_mean([run.baselines[name] for run in runs if name in run.baselines])
        for name in names
    }
