"""Section on several findings: the AUC of each, by strategy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report import decision, training
from common.report import results as outcome
from common.report.called import Decision
from common.report.charts import auc_axis, dot_chart
from common.report.groups import group_row, group_runs
from common.report.kind import AUC_MEANS, Epoch, Interval, Kind, Measure, Result
from common.report.markup import Markup, heading, paragraph, section
from common.report.run import Figure, Run, finite_mean, results
from common.report.schema import Ends, Share, refuse
from common.report.words import finding_name, sentence

CHANCE = (0.5, "chance 0.50")


@dataclass(frozen=True, kw_only=True)
class FindingAreas:
    """AUC of each finding, None where it has none, and the mean over the others."""

    auc_mean: Share
    auc: dict[str, Share | None]


@dataclass(frozen=True, kw_only=True)
class FindingsEpoch(FindingAreas, Epoch):
    """Those of one epoch."""


@dataclass(frozen=True, kw_only=True)
class FindingsInterval(Interval):
    """The two ends of the mean and of each finding."""

    auc_mean: Ends
    auc: dict[str, Ends]


@dataclass(frozen=True, kw_only=True)
class MultiLabel(Result, FindingAreas):
    """A run judged by several findings; `findings` are their names."""

    findings: tuple[str, ...]
    interval: FindingsInterval
    epochs: tuple[FindingsEpoch, ...]
    baselines: dict[str, FindingAreas] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()

    def __post_init__(self) -> None:
        if not set(self.findings) <= set(self.auc):
            refuse("auc", "one AUC or null for each of the findings")
        if not set(self.known) <= set(self.interval.auc):
            refuse("interval.auc", "two ends for each finding that has an AUC")

    @property
    def known(self) -> dict[str, Figure]:
        """The findings that have an AUC, with its interval."""
        return {
            name: Figure(area, *self.interval.auc.get(name, (area, area)))
            for name in self.findings
            if (area := self.auc.get(name)) is not None
        }


def findings(runs: Sequence[Run]) -> Markup:
    """A chart for each finding, all on one axis; the baselines as words."""
    groups = group_runs(runs)
    all_results = results(runs, MultiLabel)
    names = list(dict.fromkeys(name for result in all_results for name in result.known))
    figures = [figure for result in all_results for figure in result.known.values()]
    axis = auc_axis([value for figure in figures for value in (figure.value, figure.low)])
    charts = []
    for name in names:
        by_group = [
            (group, [(r.seed, k[name]) for r in group.runs if name in (k := _known(r))])
            for group in groups
        ]
        rows = [group_row(group, each, 3) for group, each in by_group if each]
        charts += [heading(sentence(finding_name(name))), dot_chart(rows, axis, [CHANCE], "AUC")]
        if without_training := _baselines(runs, name):
            charts.append(paragraph(f"Without training: {without_training}.", "note"))
    note = (
        "Lines: intervals over patients, averaged over seeds; small dots: seeds. Images on which a "
        "finding is uncertain or not mentioned do not count for it."
    )
    return section("findings", "Each finding", *charts, paragraph(note, "note"))


def _known(run: Run) -> dict[str, Figure]:
    return run.result.known if isinstance(run.result, MultiLabel) else {}


def _baselines(runs: Sequence[Run], name: str) -> str:
    """Mean over runs of what each baseline reaches on one finding."""
    known: dict[str, list[float]] = {}
    for run in runs:
        for baseline, values in run.result.baselines.items():
            if (area := values.auc.get(name)) is not None:
                known.setdefault(outcome.BASELINE_NAMES.get(baseline, baseline), []).append(area)
    return ", ".join(f"{baseline} {finite_mean(values):.3f}" for baseline, values in known.items())


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    return (
        AUC_MEANS,
        "The encoder was trained without labels and frozen; for each finding a linear classifier "
        "was fitted on the training images. The mean over the findings compares the strategies.",
        "Look at each finding before the mean, at the intervals before the dots (a rare finding "
        "has a wide one), and at the baselines before calling a strategy good.",
    )


MEASURE = Measure(
    "mean AUC",
    "auc_mean",
    "mean over the findings of the AUC of a linear classifier on the frozen encoder",
    chance=0.5,
    decimals=3,
)
KIND = Kind(
    "multi_label",
    MultiLabel,
    MEASURE,
    (findings, outcome.by_epoch, training.training_curves),
    how_to_read,
    in_words=decision.in_words,
    decision=decision.SECTIONS,
)
