"""The linear evaluation: AUC of a linear classifier on the frozen encoder, and the audit."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report import decision, gallery, results, training, transformations
from common.report.called import Decision
from common.report.kind import AUC_MEANS, Epoch, Interval, Kind, Measure, Result
from common.report.run import Run
from common.report.schema import Positive, Share
from common.report.transformations import Transform

__all__ = ["KIND", "AUCEpoch", "AUCInterval", "AUCs", "Linear"]


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
        transform: what the transformations did, None where that was not recorded.
        decisions: what a threshold does, for the finding; none without a validation part.
    """

    interval: AUCInterval
    epochs: tuple[AUCEpoch, ...]
    baselines: dict[str, AUCs] = field(default_factory=dict)
    transform: Transform | None
    decisions: tuple[Decision, ...] = ()


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """Three paragraphs for a clinician."""
    return (
        AUC_MEANS,
        "Each strategy trained the same encoder on differently transformed images; then the "
        "encoder was frozen and a linear classifier was fitted on labelled images the encoder had "
        "not seen, so a higher AUC means that the encoder learned more that is useful for the "
        "finding.",
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
        results.by_epoch,
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
