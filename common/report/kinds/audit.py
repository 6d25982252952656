"""An audit after a training: what the trained policy does to the images, to the encoder's eyes."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from common.report import training
from common.report.audit.archive import ARCHIVE, read_pictures
from common.report.audit.comparison import comparison
from common.report.audit.gallery import Detail
from common.report.audit.result import Audit as Found
from common.report.audit.result import Estimate, Pictures
from common.report.audit.sections import all_sets, images, in_words, reading, sentences
from common.report.groups import group_runs
from common.report.kind import Epoch, Interval, Kind, Measure, Result
from common.report.markup import Markup
from common.report.run import Run, results
from common.report.schema import Ends, Share, refuse

DETAIL = Detail(images=2, side=112, quality=60)


@dataclass(frozen=True, kw_only=True)
class AuditEpoch(Epoch):
    """The figure of the epoch that was audited."""

    told: Share


@dataclass(frozen=True, kw_only=True)
class AuditInterval(Interval):
    """The two ends of the figure."""

    told: Ends


@dataclass(frozen=True, kw_only=True)
class Audit(Result):
    """A run whose transformations were audited.

    Attributes:
        audit: of one set: that of the run.
        told: balanced accuracy with which the label is told from views.
    """

    audit: Found
    told: Share
    interval: AuditInterval
    epochs: tuple[AuditEpoch, ...]
    baselines: dict[str, Estimate] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.audit.sets) != 1 or self.audit.sets[0].label is None:
            refuse("audit.sets", "one set, with what it keeps of the label")

    @property
    def chance(self) -> float | None:
        """The balanced accuracy of guessing."""
        label = self.audit.sets[0].label
        return None if label is None else label.chance


def together(runs: Sequence[Run]) -> Found:
    """Return one audit whose sets are the strategies, the first seed of each."""
    groups = group_runs(runs)
    audits = results([group.runs[0] for group in groups], Audit)
    sets = [replace(each.audit.sets[0], name=group.name) for group, each in zip(groups, audits)]
    every = [group.runs[0].arrays for group in groups]
    return replace(audits[0].audit, sets=tuple(sets), pictures=_same(every))


def _same(every: Sequence[Pictures | None]) -> Pictures | None:
    """The pictures of all, where they are of the same images."""
    first = every[0]
    if first is None:
        return None
    known = [each for each in every if each and np.array_equal(each.images, first.images)]
    if len(known) < len(every):
        return None
    return replace(first, sets=tuple(each.sets[0] for each in known))


def _pictures(run: Run) -> Pictures | None:
    (result,) = results([run], Audit)
    return read_pictures(run.folder / ARCHIVE, len(result.audit.sets[0].scans))


def _in_words(runs: Sequence[Run]) -> list[str]:
    return in_words(together(runs))


def _comparison(runs: Sequence[Run]) -> Markup:
    return comparison(together(runs))


def _verdict(runs: Sequence[Run]) -> Markup:
    return sentences(together(runs))


def _sets(runs: Sequence[Run]) -> Markup:
    return Markup().join(all_sets(together(runs), DETAIL))


def _reading(runs: Sequence[Run]) -> Markup:
    audit = together(runs)
    return reading(audit) + images(audit)


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A paragraph; the thresholds stand in a section of their own."""
    return (
        "Runs are compared by how well a quick classifier tells the label from their views: what a "
        "view no longer shows, no encoder can learn from it. More is not better without end: views "
        "that change nothing tell everything, and teach nothing.",
    )


MEASURE = Measure(
    "label told from views",
    "told",
    "balanced accuracy of a quick classifier on views",
    choice="transformations",
)
KIND = Kind(
    "audit",
    Audit,
    MEASURE,
    (_sets, _reading, training.training_curves),
    how_to_read,
    _pictures,
    _in_words,
    (_comparison, _verdict),
)
