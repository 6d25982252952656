"""Section on several findings: the AUC of each, by strategy."""

from collections.abc import Sequence

from common.report.charts import DotRow, auc_axis, dot_chart
from common.report.groups import Group, group_runs
from common.report.markup import element, paragraph, section, text
from common.report.runs import Figure, Run, finite_mean
from common.report.words import plural

CHANCE = (0.5, "chance 0.50")


def findings(runs: Sequence[Run]) -> str:
    """A chart for each finding, all on one axis; the baselines as words."""
    groups = group_runs(runs)
    names = list(dict.fromkeys(name for run in runs for name in run.findings))
    figures = [figure for run in runs for figure in run.findings.values()]
    axis = auc_axis([value for figure in figures for value in (figure.value, figure.low)])
    charts = []
    for name in names:
        rows = [
            _row(group, name) for group in groups if any(name in r.findings for r in group.runs)
        ]
        charts += [element("h3", text(finding_name(name))), dot_chart(rows, axis, [CHANCE], "AUC")]
        if told := _baselines(runs, name):
            charts.append(paragraph(f"Without training: {told}.", "note"))
    note = (
        "Lines: intervals over patients, averaged over seeds; small dots: seeds. Images on which a "
        "finding is uncertain or not mentioned do not count for it."
    )
    return section("findings", "Each finding", *charts, paragraph(note, "note"))


def finding_name(column: str) -> str:
    """Return the name of a column as words.

    >>> finding_name("pleural_effusion")
    'Pleural effusion'
    """
    return column.replace("_", " ").capitalize()


def _row(group: Group, name: str) -> DotRow:
    found: list[tuple[int, Figure]] = [
        (run.seed, run.findings[name]) for run in group.runs if name in run.findings
    ]
    mean, low, high = (
        finite_mean([getattr(figure, part) for _, figure in found])
        for part in ("value", "low", "high")
    )
    several = len(found) > 1
    words = f"{mean:.3f} ({low:.3f}–{high:.3f})"
    words += f", {plural(len(found), 'seed')}" if several else ""
    dots = tuple((figure.value, f"seed {seed}: {figure.value:.3f}") for seed, figure in found)
    return DotRow(group.name, group.colour, words, dots if several else (), mean, low, high)


def _baselines(runs: Sequence[Run], name: str) -> str:
    """Mean over runs of what each baseline reaches on one finding."""
    known: dict[str, list[float]] = {}
    for run in runs:
        for baseline, values in run.finding_baselines.items():
            if name in values:
                known.setdefault(baseline, []).append(values[name])
    return ", ".join(f"{baseline} {finite_mean(values):.3f}" for baseline, values in known.items())
