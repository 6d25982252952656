"""What a threshold does, as ``evaluation.json`` has it: figures, curves, bins, subgroups."""

from dataclasses import dataclass

from common.report.schema import Share, Text, refuse
from common.report.words import finding_name, sentence

NAMES = {
    "sensitivity": "Sensitivity: called, of those with it",
    "specificity": "Specificity: not called, of those without it",
    "positive_value": "Positive predictive value: with it, of those called",
    "negative_value": "Negative predictive value: without it, of those not called",
    "accuracy": "Accuracy: called rightly, of all",
    "auc": "Area under the ROC curve",
    "average_precision": "Average precision",
}


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its interval over patients; None where there is none.

    A figure without ends: every sample of the patients gave the same, which tells no interval.
    """

    value: Share | None
    low: Share | None
    high: Share | None

    def written(self, *, percent: bool = True) -> str:
        """Return it as text."""
        if self.value is None:
            return "–"
        if self.low is None or self.high is None:
            alone = f"{100 * self.value:.0f} %" if percent else f"{self.value:.3f}"
            return f"{alone} (no interval)"
        if not percent:
            return f"{self.value:.3f} ({self.low:.3f}–{self.high:.3f})"
        return f"{100 * self.value:.0f} % ({100 * self.low:.0f}–{100 * self.high:.0f})"


@dataclass(frozen=True)
class Counted:
    """How many images, of how many patients, and how many of the images show the finding."""

    images: int
    patients: int
    positive: int


@dataclass(frozen=True)
class Reliability:
    """Images of one range of probability: their number, mean probability, share of positives."""

    images: int
    predicted: Share
    observed: Share


@dataclass(frozen=True)
class Subgroup(Counted):
    """Images that agree in a column of the manifest."""

    column: Text
    name: Text
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class Decision:
    """What a threshold does, chosen on validation images, on the test images.

    Attributes:
        finding: what is called.
        threshold: probability above which it is.
        chosen_on: the validation images.
        scored_on: the test images.
        figures: by name, of images.
        confusion: counts, rows by truth (no, yes), columns by call (no, yes).
        roc: 1 - specificity and sensitivity.
        precision_recall: recall and precision.
        reliability: bins of probability, those that hold images.
        patients: the figures of patients by the mean probability of their images.
        subgroups: by column and name.
    """

    finding: Text
    threshold: Share
    chosen_on: Counted
    scored_on: Counted
    figures: dict[str, Estimate]
    confusion: tuple[tuple[int, int], tuple[int, int]]
    roc: tuple[tuple[Share, ...], tuple[Share, ...]]
    precision_recall: tuple[tuple[Share, ...], tuple[Share, ...]]
    reliability: tuple[Reliability, ...]
    patients: dict[str, Estimate]
    subgroups: tuple[Subgroup, ...]

    def __post_init__(self) -> None:
        missing = {*NAMES, "calibration_error"} - set(self.figures)
        if missing:
            refuse(f"figures.{min(missing)}", "a figure with its interval")

    @property
    def title(self) -> str:
        """The finding, for a heading."""
        return sentence(finding_name(self.finding))

    @property
    def who(self) -> str:
        """Who is to be found, for a sentence: a name that is a number tells of no finding."""
        if self.finding.isdigit():
            return f"images of class {self.finding}"
        name = finding_name(self.finding)
        return "cases" if name == "case" else f"images with {name}"

    @property
    def shown_as(self) -> str:
        """The threshold, with as many digits as tell it from 0 and from 1."""
        plain = 0.005 <= self.threshold < 0.995 or self.threshold in (0, 1)
        return f"{self.threshold:.2f}" if plain else f"{self.threshold:.6g}"
