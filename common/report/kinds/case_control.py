"""Sections on a diagnosis: AUC inside and outside the training sites, and site by site."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from common.report import decision, training
from common.report import results as outcome
from common.report.called import Decision
from common.report.charts import auc_axis, dot_chart
from common.report.groups import Group, group_row, group_runs
from common.report.kind import AUC_MEANS, Epoch, Interval, Kind, Measure, Result
from common.report.markup import Markup, figure_table, heading, paragraph, row_head, section
from common.report.run import Figure, Run, finite_mean, results
from common.report.schema import Ends, Positive, Share, Text
from common.report.words import plural

TITLES = {
    "auc_internal": "Internal subjects (training sites)",
    "auc_external": "External subjects (unseen sites)",
}
CHANCE = (0.5, "chance 0.50")


@dataclass(frozen=True, kw_only=True)
class Areas:
    """AUC on subjects of the training sites and of others."""

    auc_internal: Share
    auc_external: Share


@dataclass(frozen=True, kw_only=True)
class AreasEpoch(Areas, Epoch):
    """Those of one epoch."""


@dataclass(frozen=True, kw_only=True)
class AreasInterval(Interval):
    """The two ends of both."""

    auc_internal: Ends
    auc_external: Ends


@dataclass(frozen=True)
class SiteRow:
    """A site, or a fold of them, that a probe fitted on all others was scored on."""

    site: int
    subjects: int
    cases: int
    auc: Share


@dataclass(frozen=True)
class LeaveSiteOut:
    """The table of sites, and mean and standard deviation over it."""

    auc_mean: Share
    auc_std: Positive
    sites: tuple[SiteRow, ...]


@dataclass(frozen=True, kw_only=True)
class CaseControl(Result, Areas):
    """A run judged on a diagnosis.

    Attributes:
        deployed_head: "trained" or "refitted": the head that decided.
        probe: figures of the probe, whoever decided.
        leave_site_out: None after fine-tuning, or where sites are not known.
        site_names: by number; may be empty.
        decisions: what a threshold does; none without a validation part.
    """

    deployed_head: Text
    interval: AreasInterval
    epochs: tuple[AreasEpoch, ...]
    baselines: dict[str, Areas] = field(default_factory=dict)
    probe: Areas
    leave_site_out: LeaveSiteOut | None
    site_names: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()


def table(runs: Sequence[Run]) -> Markup:
    """AUC inside and outside the training sites, on one axis."""
    groups = group_runs(runs)
    figures = [Figure.of(result, name) for result in results(runs, CaseControl) for name in TITLES]
    axis = auc_axis([value for figure in figures for value in (figure.value, figure.low)])
    charts = []
    for name, title in TITLES.items():
        rows = [
            group_row(group, [(run.seed, Figure.of(run.result, name)) for run in group.runs], 2)
            for group in groups
        ]
        charts += [heading(title), dot_chart(rows, axis, [CHANCE], "AUC")]
    probes = [
        f"{group.name} {finite_mean([result.probe.auc_external for result in tuned]):.2f}"
        for group in groups
        if (tuned := [r for r in results(group.runs, CaseControl) if r.deployed_head == "trained"])
    ]
    beside = (
        f" A probe on the fine-tuned features, external: {', '.join(probes)}." if probes else ""
    )
    note = "Lines: intervals over patients, averaged over seeds; small dots: seeds." + beside
    return section("case-control", "Inside and outside the sites", *charts, paragraph(note, "note"))


def leave_site_out(runs: Sequence[Run]) -> Markup:
    """A row a site, a column a strategy: AUC of a probe fitted on all other sites."""
    groups = [group for group in group_runs(runs) if _sites(group)]
    title = "Leave-site-out"
    if not groups:
        words = "Not made: the encoders were fine-tuned on these sites, or sites are not known."
        return section("leave-site-out", title, paragraph(words))
    every = {row.site: row for group in groups for row in _sites(group)}
    names = next((r.site_names for r in results(runs, CaseControl) if r.site_names), ())
    rows: list[tuple[str, list[str]]] = []
    for site in sorted(every):
        name = names[site] if site < len(names) else f"site {site}"
        who = f" ({plural(every[site].subjects, 'subject')}, {plural(every[site].cases, 'case')})"
        cells = [_site(group, site) for group in groups]
        rows.append((row_head(name, who), cells))
    means = [_site(group, None) for group in groups]
    rows.append(("mean over sites", means))
    heads = [group.name for group in groups]
    note = (
        "AUC on each site by a logistic regression on the frozen features of all other sites, mean "
        "over seeds. Sites with only cases or only controls are left out."
    )
    return section(
        "leave-site-out", title, figure_table("site", heads, rows), paragraph(note, "note")
    )


def _sites(group: Group) -> list[SiteRow]:
    tables = [result.leave_site_out for result in results(group.runs, CaseControl)]
    return [row for table in tables if table is not None for row in table.sites]


def _site(group: Group, site: int | None) -> str:
    values = [row.auc for row in _sites(group) if site is None or row.site == site]
    mean = finite_mean(values)
    return f"{mean:.3f}" if math.isfinite(mean) else "–"


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    return (
        AUC_MEANS,
        "Internal subjects come from the sites of the training subjects, external ones from other "
        "sites, as new patients would.",
        "Look at the intervals before the dots, and at the external figure before the internal "
        "one: what works at known scanners only does not help elsewhere.",
    )


MEASURE = Measure(
    "external AUC",
    "auc_external",
    "AUC on subjects of sites that were not trained on, from chance (0.5) up",
    choice="the pre-training",
    chance=0.5,
)
KIND = Kind(
    "case_control",
    CaseControl,
    MEASURE,
    (table, leave_site_out, outcome.by_epoch, training.training_curves),
    how_to_read,
    in_words=decision.in_words,
    decision=decision.SECTIONS,
)
