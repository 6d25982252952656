"""Sections on a diagnosis: AUC inside and outside the training sites, and site by site."""

import math
from collections.abc import Sequence

from common.report.charts import DotRow, auc_axis, dot_chart
from common.report.groups import Group, group_runs
from common.report.markup import element, figure_table, paragraph, section, text
from common.report.runs import Cases, Figure, Run, finite_mean
from common.report.words import plural

TITLES = {
    "auc_internal": "Internal subjects (training sites)",
    "auc_external": "External subjects (unseen sites)",
}
CHANCE = (0.5, "chance 0.50")


def table(runs: Sequence[Run]) -> str:
    """AUC inside and outside the training sites, on one axis."""
    groups = group_runs(runs)
    figures = [f for cases in _cases(runs) for f in cases.figures.values()]
    axis = auc_axis([value for figure in figures for value in (figure.value, figure.low)])
    charts = []
    for name, title in TITLES.items():
        rows = [_row(group, name) for group in groups]
        charts += [element("h3", text(title)), dot_chart(rows, axis, [CHANCE], "AUC")]
    probes = [
        f"{group.name} {finite_mean([cases.probe['auc_external'] for cases in tuned]):.2f}"
        for group in groups
        if (tuned := [cases for cases in _cases(group.runs) if cases.readout == "head"])
    ]
    told = f" A probe on the fine-tuned features, external: {', '.join(probes)}." if probes else ""
    note = "Lines: intervals over patients, averaged over seeds; small dots: seeds." + told
    return section("case-control", "Inside and outside the sites", *charts, paragraph(note, "note"))


def leave_site_out(runs: Sequence[Run]) -> str:
    """A row a site, a column a strategy: AUC of a probe fitted on all other sites."""
    groups = [group for group in group_runs(runs) if any(c.sites for c in _cases(group.runs))]
    heading = "Leave-site-out"
    if not groups:
        words = "Not made: the encoders were fine-tuned on these sites, or sites are not known."
        return section("leave-site-out", heading, paragraph(words))
    every = {row.site: row for group in groups for c in _cases(group.runs) for row in c.sites}
    names = next((c.site_names for c in _cases(runs) if c.site_names), ())
    rows = []
    for site in sorted(every):
        name = names[site] if site < len(names) else f"site {site}"
        who = f" ({plural(every[site].subjects, 'subject')}, {plural(every[site].cases, 'case')})"
        cells = [_site(group, site) for group in groups]
        rows.append((text(name) + element("small", text(who)), cells))
    means = [_site(group, None) for group in groups]
    rows.append((element("b", "mean over sites"), means))
    heads = [group.name for group in groups]
    note = (
        "AUC on each site by a logistic regression on the frozen features of all other sites, mean "
        "over seeds. Sites with only cases or only controls are left out."
    )
    return section(
        "leave-site-out", heading, figure_table("site", heads, rows), paragraph(note, "note")
    )


def _cases(runs: Sequence[Run]) -> list[Cases]:
    return [run.cases for run in runs if run.cases is not None]


def _row(group: Group, name: str) -> DotRow:
    found: list[Figure] = [cases.figures[name] for cases in _cases(group.runs)]
    mean, low, high = (
        finite_mean([getattr(figure, part) for figure in found])
        for part in ("value", "low", "high")
    )
    several = len(found) > 1
    words = f"{mean:.2f} ({low:.2f}–{high:.2f})"
    words += f", {plural(len(found), 'seed')}" if several else ""
    dots = tuple(
        (figure.value, f"seed {run.seed}: {figure.value:.3f}")
        for run, figure in zip(group.runs, found)
    )
    return DotRow(group.name, group.colour, words, dots if several else (), mean, low, high)


def _site(group: Group, site: int | None) -> str:
    values = [
        row.auc for c in _cases(group.runs) for row in c.sites if site is None or row.site == site
    ]
    mean = finite_mean(values)
    return f"{mean:.3f}" if math.isfinite(mean) else "–"
