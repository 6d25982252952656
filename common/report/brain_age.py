"""Sections on brain age: the errors, what the features tell of the site, predicted ages."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from common.report.charts import Axis, DotRow, Frame, dot_chart, nice_axis, scatter_chart
from common.report.groups import Group, group_runs
from common.report.markup import element, paragraph, section, swatch, text
from common.report.results import BASELINE_NAMES
from common.report.runs import Age, AgeScores, Run, finite_mean
from common.report.words import plural, signed

PANEL_HEIGHT = 170
MAX_SITES = 6
FEWEST = 5  # subjects a site needs for a panel of its own
TITLES = {
    "mae_internal": "Internal subjects (training sites)",
    "mae_external": "External subjects (unseen sites)",
}


def errors(runs: Sequence[Run]) -> str:
    """Mean absolute error inside and outside the training sites, on one scale."""
    groups, baselines = group_runs(runs), _baselines(runs)
    values = [v for run in _ages(runs) for name in TITLES for v in _ends(run, name)]
    values += [baseline[name] for baseline in baselines.values() for name in TITLES]
    axis = nice_axis(0.9 * min(values), 1.05 * max(values))
    charts = []
    for name, title in TITLES.items():
        references = [
            (figures[name], f"{BASELINE_NAMES.get(key, key)} {figures[name]:.2f}")
            for key, figures in baselines.items()
        ]
        rows = [_row(group, name, "years") for group in groups]
        charts.append(element("h3", text(title)))
        charts.append(dot_chart(rows, axis, references, "mean absolute error of age, years"))
    head = [
        f"{group.name} {finite_mean([age.head['mae_external'] for age in trained]):.2f} years"
        for group in groups
        if (trained := [age for age in _ages(group.runs) if age.head])
    ]
    told = f"External error of the network's own trained output: {', '.join(head)}." if head else ""
    return section(
        "age-error",
        "Age error",
        *charts,
        paragraph("Ridge regression on the frozen features. " + told, "note"),
    )


def site_leakage(runs: Sequence[Run]) -> str:
    """Site balanced accuracy as bars, beside chance and the floor set by age itself."""
    ages, baselines = _ages(runs), _baselines(runs)
    chance, floor = (finite_mean([getattr(age, n) for age in ages]) for n in ("chance", "floor"))
    rows = [_row(group, "bacc_internal", "", bar=True) for group in group_runs(runs)]
    for key, figures in baselines.items():
        name, value = BASELINE_NAMES.get(key, key), figures["bacc_internal"]
        rows.append(DotRow(name, "var(--faint)", f"{value:.3f}", mean=value, bar=True))
    highest = max([floor, *(row.high or row.mean or 0.0 for row in rows)])
    axis = nice_axis(0.0, min(1.0, 1.1 * highest))
    references = [(chance, f"chance {chance:.3f}"), (floor, f"age alone {floor:.3f}")]
    note = (
        "How well logistic regression tells the site of internal subjects from the features; "
        "shorter is better, down to the floor: sites differ in age, so features of nothing but age "
        "reach the second line. Thin line: interval over subjects; mean over seeds."
    )
    return section(
        "site-leakage",
        "What the features tell of the site",
        dot_chart(rows, axis, references, "balanced accuracy of the site"),
        paragraph(note, "note"),
    )


def predicted_ages(runs: Sequence[Run]) -> str:
    """Predicted against true age by site, a block a strategy (its first seed with scores)."""
    chosen = [
        (group, age)
        for group in group_runs(runs)
        if (age := next((age for age in _ages(group.runs) if age.scores), None)) is not None
    ]
    heading = "Predicted against true age by site"
    if not chosen:
        return section("ages", heading, paragraph("No predicted ages were kept."))
    axis = _age_axis([age.scores for _, age in chosen if age.scores])
    blocks = [
        element(
            "div",
            element("h3", swatch(group.colour, group.name)),
            element("div", *_panels(group, age, axis), class_="panels"),
            class_="block",
        )
        for group, age in chosen
    ]
    note = (
        "Across: true age; up: predicted age, years; dashed: where they agree. Below: mean "
        "absolute error and mean difference (predicted − true). First all subjects, then up to "
        f"{MAX_SITES} sites, the largest; first seed of each strategy."
    )
    return section("ages", heading, *blocks, paragraph(note, "note"))


def _ages(runs: Iterable[Run]) -> list[Age]:
    return [run.age for run in runs if run.age is not None]


def _ends(age: Age, name: str) -> tuple[float, float, float]:
    figure = age.figures[name]
    return figure.low, figure.value, figure.high


def _baselines(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Figures of each baseline, averaged over the runs that have it."""
    ages = _ages(runs)
    names = sorted({name for age in ages for name in age.baselines})
    return {
        name: {
            key: finite_mean([age.baselines[name][key] for age in ages if name in age.baselines])
            for key in (*TITLES, "bacc_internal")
        }
        for name in names
    }


def _row(group: Group, name: str, unit: str, *, bar: bool = False) -> DotRow:
    ages = _ages(group.runs)
    low, mean, high = (finite_mean(ends) for ends in zip(*(_ends(age, name) for age in ages)))
    decimals = 3 if bar else 2
    small = [
        (age.figures[name].value, f"seed {run.seed}: {age.figures[name].value:.{decimals}f} {unit}")
        for run, age in zip(group.runs, ages)
    ]
    words = f"{mean:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f})"
    several = len(small) > 1 and not bar
    words += f", {plural(len(small), 'seed')}" if several else ""
    dots = tuple(small) if several else ()
    return DotRow(group.name, group.colour, words, dots, mean, low, high, bar)


def _age_axis(scores: Sequence[AgeScores]) -> Axis:
    """One axis for true and predicted ages; predictions far beyond the true ones are clipped."""
    true = np.concatenate([part.age for part in scores])
    predicted = np.concatenate([part.predicted for part in scores])
    low = min(true.min(), np.quantile(predicted, 0.005))
    high = max(true.max(), np.quantile(predicted, 0.995))
    return nice_axis(float(np.floor(low / 5) * 5), float(np.ceil(high / 5) * 5), 5)


def _panels(group: Group, age: Age, axis: Axis) -> list[str]:
    scores = age.scores
    if scores is None:
        return []
    shown = {
        "All internal": scores.internal,
        "All external": ~scores.internal,
    }
    sites, counts = np.unique(scores.site[scores.site >= 0], return_counts=True)
    largest = [s for s, n in sorted(zip(sites, counts), key=lambda p: (-p[1], p[0])) if n >= FEWEST]
    for site in largest[:MAX_SITES]:
        here = scores.site == site
        names = age.site_names
        name = names[site] if site < len(names) else f"site {site}"
        where = "internal" if scores.internal[here].any() else "external"
        shown[f"{name} ({where})"] = here
    return [_panel(title, scores, here, group, axis) for title, here in shown.items() if here.any()]


def _panel(title: str, scores: AgeScores, here: NDArray[np.bool_], group: Group, axis: Axis) -> str:
    true, predicted = scores.age[here], scores.predicted[here]
    points = [(float(x), float(y)) for x, y in zip(true, predicted)]
    difference = float((predicted - true).mean())
    words = f"{np.abs(predicted - true).mean():.2f} y, {signed(difference, 1)} y"
    head = element("span", text(title)) + element("b", text(f"n = {len(points)}"))
    chart = scatter_chart(
        points,
        Frame(axis, axis, PANEL_HEIGHT),
        group.colour,
        f"{group.name}, {title}: predicted against true age, {words}",
    )
    return element(
        "div",
        element("div", head, class_="panel-title"),
        chart,
        element("div", text(words), class_="panel-words"),
        class_="panel wide",
    )
