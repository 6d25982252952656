"""What a kind of evaluation is to the report; each stands in a file of `common.report.kinds`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.report.schema import Share, Text

if TYPE_CHECKING:
    from common.report.run import Run

__all__ = ["AUC_MEANS", "Epoch", "Interval", "Kind", "Measure", "Result"]

AUC_MEANS = (
    "AUC is the chance that the model ranks a randomly chosen image with the finding above one "
    "without it: 0.5 is guessing, 1 is perfect."
)


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Uncertainty of figures: `level` in (0, 1) and how it was made; a kind adds the ends."""

    level: Share
    method: Text


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The figures of one epoch; a kind adds them."""

    epoch: int

    @property
    def spread(self) -> float:
        """Standard deviation of the figure over hold-out folds; 0 where there are none."""
        return 0.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What ``evaluation.json`` holds whatever the kind; a kind adds its figures and their types.

    Attributes:
        counts: of images, subjects and the like, by name.
        interval: an `Interval` with the two ends of each figure, by the figure's name.
        epochs: an `Epoch` each, with the figures.
        baselines: the figures by the name of the baseline.
    """

    counts: dict[str, Any] = field(default_factory=dict)
    interval: Any
    epochs: Any
    baselines: Any

    @property
    def chance(self) -> float | None:
        """The figure of guessing, where it is not the same for all runs of the kind."""
        return None

    @property
    def whose_threshold(self) -> str:
        """Which head a threshold is of, and which head judged the test images; a sentence."""
        return "The head that is deployed judged the validation and the test images."


@dataclass(frozen=True)
class Measure:
    """The figure a kind of run is judged by.

    Attributes:
        name: as charts and sentences call it.
        key: in evaluation.json.
        judged: what gave the figure, for the notes below charts.
        baseline: how the same was done without training, for a sentence.
        drawn: what the interval draws: "patients", "subjects" or "images".
        choice: what the strategies differ in.
        lower_is_better: as for errors.
        highest: upper end of its range in evaluation.json.
        chance: the figure of guessing in evaluation.json, the same for all runs, or None.
        scale: from evaluation.json to what is shown, e.g. 100 for percent.
        decimals: shown.
        unit: shown behind the number.
        difference: shown behind a difference.
    """

    name: str
    key: str
    judged: str
    baseline: str = "a linear classifier"
    drawn: str = "patients"
    choice: str = "the loss"
    lower_is_better: bool = False
    highest: float = 1.0
    chance: float | None = None
    scale: float = 1.0
    decimals: int = 2
    unit: str = ""
    difference: str = ""

    def written(self, value: float) -> str:
        """Return a value, in the units shown, as text."""
        return f"{value:.{self.decimals}f}{self.unit}"

    def interval(self, low: float, high: float) -> str:
        """Return two values as ``0.88–0.93``."""
        return f"{low:.{self.decimals}f}–{high:.{self.decimals}f}{self.unit}"

    def better(self, first: float, second: float) -> bool:
        """Return whether `first` is strictly better than `second`."""
        return first < second if self.lower_is_better else first > second


@dataclass(frozen=True)
class Kind:
    """A kind of evaluation: what it writes and how the report shows that.

    Attributes:
        name: in evaluation.json, and of the kind's modules.
        result: the schema of evaluation.json, beside who was evaluated.
        measure: the figure runs are compared by.
        sections: functions ``(runs) -> html``, after the outcome and before the settings.
        how_to_read: paragraphs for a clinician.
        arrays: reads the archives of arrays of a run folder, or None where the kind shows none.
        in_words: the first thing on the page: what the model does, a sentence each.
        decision: sections that say whether it can be trusted, before those that compare strategies.
    """

    name: str
    result: type[Result]
    measure: Measure
    sections: "Sequence[Callable[[Sequence[Run]], str]]"
    how_to_read: "Callable[[Sequence[Run]], Sequence[str]]"
    arrays: "Callable[[Run], Any]" = lambda run: None
    in_words: "Callable[[Sequence[Run]], Sequence[str]]" = lambda runs: ()
    decision: "Sequence[Callable[[Sequence[Run]], str]]" = ()
