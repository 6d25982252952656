"""The linear evaluation: AUC of a linear classifier on the frozen encoder, and the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report import decision, gallery, training, transformations
from common.report import results as outcome
from common.report.called import Decision
from common.report.kind import AUC_MEANS, Epoch, Interval, Kind, Measure, Result
from common.report.run import Run, results
from common.report.schema import Positive, Share, Text, refuse
from common.report.transformations import Transform

__all__ = ["KIND", "AUCEpoch", "AUCInterval", "AUCs", "Linear"]

FITTED_ON = {
    "folds": "The classifier was fitted on two folds of the test part, images the encoder had not "
    "seen, and judged the third, in turn; the AUC is the mean over the three folds.",
    "training": "The classifier was fitted on the labelled training images, those the encoder was "
    "trained on, and judged the test part, which served nothing else; the AUC is the mean over "
    "three folds of it.",
}


@dataclass(frozen=True, kw_only=True)
class AUCs:
    """Mean and standard deviation of the AUC over the hold-out folds."""

    auc_mean: Share
    auc_std: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class AUCEpoch(AUCs, Epoch):
    """Those of one epoch, and the AUC of each fold."""

    auc_folds: tuple[Share, ...] | None = None

    @property
    def spread(self) -> float:
        """Standard deviation over hold-out folds."""
        return self.auc_std or 0.0


@dataclass(frozen=True, kw_only=True)
class AUCInterval(Interval):
    """The two ends of the mean AUC."""

    low: Share
    high: Share

    @property
    def auc_mean(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high


@dataclass(frozen=True, kw_only=True)
class Linear(Result, AUCs):
    """A run judged by a linear classifier.

    Attributes:
        head_fitted_on: "folds" of the test part, in turn, or "training".
        transform: what the transformations did, None where that was not recorded.
        decisions: what a threshold does, for the finding; none without a validation part.
    """

    head_fitted_on: Text = "folds"
    interval: AUCInterval
    epochs: tuple[AUCEpoch, ...]
    baselines: dict[str, AUCs] = field(default_factory=dict)
    transform: Transform | None
    decisions: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        if self.head_fitted_on not in FITTED_ON:
            refuse("head_fitted_on", " or ".join(FITTED_ON))

    @property
    def whose_threshold(self) -> str:
        """Which classifier a threshold is of."""
        if self.head_fitted_on == "training":
            return super().whose_threshold
        return (
            "The threshold is of the classifier that is deployed, which was fitted on the whole "
            "test part; the test images were judged by three others, each fitted on two folds and "
            "judging the third, so none judged an image that it was fitted on."
        )


def how_to_read(runs: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    fitted = {result.head_fitted_on for result in results(runs, Linear)}  # one: see load_runs
    return (
        AUC_MEANS,
        "Each strategy trained the same encoder on differently transformed images; then the "
        "encoder was frozen and a linear classifier was fitted on its features: a higher AUC means "
        "that the encoder learned more that is useful for the finding.",
        *(FITTED_ON[name] for name in fitted),
        "Look at the intervals before the dots, at the baselines before calling a strategy good, "
        "and at the images before believing any figure: a transformation that removes the lesion "
        "cannot teach it.",
    )


KIND = Kind(
    "linear",
    Linear,
    Measure(
        "AUC",
        "auc_mean",
        "AUC of a linear classifier on the frozen encoder, from chance (0.5) up",
        choice="transformations",
        chance=0.5,
    ),
    (
        outcome.by_epoch,
        training.training_curves,
        transformations.histograms,
        transformations.spread_over_images,
        transformations.lesions_kept,
        gallery.gallery,
    ),
    how_to_read,
    gallery.read_gallery,
    decision.in_words,
    decision.SECTIONS,
)
