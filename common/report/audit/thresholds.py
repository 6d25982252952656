"""What a sentence of the verdict is, and from where on there is one: the thresholds.

A finding is told where its figure crosses a threshold AND its 95 % interval excludes the harmless
value. Where all draws of the bootstrap agree, the interval is that of the rule of three over
patients.
"""

from dataclasses import dataclass

from common.report.audit.figures import ends, share_interval
from common.report.audit.result import Audit, Estimate
from common.report.transformations import PRACTICALLY_CONSTANT

__all__ = ["THRESHOLDS", "Said", "asked", "lost_of", "mirrored", "percent_of"]

LESIONS_LOST = 0.05
BLANK_VIEWS = 0.01
LABEL_LOST = 0.10
CLASS_LOST = 0.10
SHORTCUT_ABOVE_CHANCE = 0.10
LEARNED_SPREAD = PRACTICALLY_CONSTANT

THRESHOLDS = (
    ("lesions lost", LESIONS_LOST, "share of views that lose the lesion; harmless: 0"),
    ("views that show nothing", BLANK_VIEWS, "their share; harmless: that of the images"),
    ("label lost", LABEL_LOST, "share of the label's information that views lose; harmless: 0"),
    ("class lost", CLASS_LOST, "share of a class, or of a site's images, no longer told rightly; "
     "harmless: 0"),
    ("shortcut", SHORTCUT_ABOVE_CHANCE, "balanced accuracy above chance with which "
     "something else than the label is told; harmless: 0"),
    ("spread of λ", LEARNED_SPREAD, "standard deviation of λ over images below which a network "
     "M is called practically constant"),
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """A sentence of the verdict.

    Attributes:
        words: the sentence, with its number.
        target: anchor of the picture or chart.
        link: what the link says.
        found: whether it is a finding, or something looked for and not found.
        unknown: whether it says that nothing can be said.
    """

    words: str
    target: str
    link: str
    found: bool = True
    unknown: bool = False


def asked(audit: Audit, count: int) -> int:
    """Return how many independent ones stand behind a figure: patients, not their images."""
    return min(count, audit.images.patients)


def lost_of(kept: Estimate, images: int) -> tuple[float, float]:
    """Return the share lost, and the lower end of its interval."""
    return 1 - kept.value, 1 - ends(kept, images)[1]


def mirrored(kept: Estimate) -> Estimate:
    """Return the estimate of the share lost."""
    return Estimate(1 - kept.value, 1 - kept.high, 1 - kept.low)


def percent_of(value: float, estimate: Estimate | None = None) -> str:
    """Return a share as per cent, with its interval."""
    words = f"{100 * value:.0f} %" if value >= 0.0095 or value == 0 else f"{100 * value:.1f} %"
    between = "" if estimate is None else share_interval(estimate)
    return f"{words} ({between})" if between else words
