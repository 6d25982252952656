"""Sections on brain age: the errors, what the features tell of the site, predicted ages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report import gaps, training
from common.report import results as outcome
from common.report.charts import Axis, DotRow, Frame, dot_chart, nice_axis, scatter_chart
from common.report.gaps import Gaps
from common.report.groups import Group, group_row, group_runs
from common.report.kind import Epoch, Interval, Kind, Measure, Result
from common.report.markup import Markup, block, heading, panel, panels, paragraph, section, swatch
from common.report.results import BASELINE_NAMES
from common.report.run import Figure, Run, finite_mean, results
from common.report.schema import CURE, Ends, Positive, Share, Text, read_arrays
from common.report.words import signed

PANEL_HEIGHT = 170
MAX_SITES = 6
FEWEST = 5  # subjects a site needs for a panel of its own
TITLES = {
    "mae_internal": "Internal subjects (training sites)",
    "mae_external": "External subjects (unseen sites)",
}
SCORES = "scores.npz"


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Mean absolute error of age in years, on subjects of the training sites and of others."""

    mae_internal: Positive
    mae_external: Positive


@dataclass(frozen=True, kw_only=True)
class Figures(Errors):
    """Those, the balanced accuracy of the site, and Lc."""

    bacc_internal: Share
    lc: Positive


@dataclass(frozen=True, kw_only=True)
class ChallengeEpoch(Figures, Epoch):
    """Those of one epoch."""


@dataclass(frozen=True, kw_only=True)
class ChallengeInterval(Interval):
    """The two ends of each figure."""

    mae_internal: Ends
    mae_external: Ends
    bacc_internal: Ends
    lc: Ends


@dataclass(frozen=True, kw_only=True)
class Challenge(Result, Figures):
    """A run judged by the brain-age challenge.

    Attributes:
        label: what Lc is called where it is not the leaderboard's.
        bacc_chance: site balanced accuracy of guessing.
        bacc_age_floor: site balanced accuracy that age alone allows.
        site_names: by number; may be empty.
        bacc_standardised: site balanced accuracy of the "features", and of baselines, by a probe
            that standardises and chooses its strength; empty in older results.
        head: the same errors by the trained head, where there is one.
        gaps: between predicted and true ages.
    """

    label: Text
    interval: ChallengeInterval
    bacc_chance: Share
    bacc_age_floor: Share
    site_names: tuple[str, ...]
    epochs: tuple[ChallengeEpoch, ...]
    baselines: dict[str, Figures] = field(default_factory=dict)
    bacc_standardised: dict[str, Share] = field(default_factory=dict)
    head: Errors | None = None
    gaps: Gaps | None = None


@dataclass(frozen=True)
class AgeScores:
    """Test subjects ``(M,)``: age, predicted age (years), site, whether of a training site."""

    age: NDArray[np.float64]
    predicted: NDArray[np.float64]
    site: NDArray[np.int64]
    internal: NDArray[np.bool_]


def read_scores(run: Run) -> AgeScores | None:
    """Read the subjects of known age; None where scores.npz is absent.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    path = run.folder / SCORES
    if not path.exists():
        return None
    arrays, names = read_arrays(path), ("age", "predicted_age", "site", "internal")
    for name in names:
        require(
            name in arrays and arrays[name].shape == arrays["age"].shape,
            f"{path}: must hold an array {name!r} of one value a subject. {CURE}",
        )
    known = np.isfinite(arrays["age"])
    age, predicted, site, internal = (arrays[name][known] for name in names)
    return AgeScores(
        age.astype(np.float64),
        predicted.astype(np.float64),
        site.astype(np.int64),
        internal.astype(np.bool_),
    )


def errors(runs: Sequence[Run]) -> Markup:
    """Mean absolute error inside and outside the training sites, on one scale."""
    groups, baselines = group_runs(runs), _baselines(runs)
    figures = [Figure.of(age, name) for age in results(runs, Challenge) for name in TITLES]
    values = [value for each in figures for value in (each.low, each.value, each.high)]
    values += [baseline[name] for baseline in baselines.values() for name in TITLES]
    axis = nice_axis(0.9 * min(values), 1.05 * max(values))
    charts = []
    for name, title in TITLES.items():
        references = [
            (figures[name], f"{BASELINE_NAMES.get(key, key)} {figures[name]:.2f}")
            for key, figures in baselines.items()
        ]
        rows = [
            group_row(group, _by_seed(group, name), 2, "{:.2f} years".format) for group in groups
        ]
        charts.append(heading(title))
        charts.append(dot_chart(rows, axis, references, "mean absolute error of age, years"))
    head = [
        f"{group.name} {finite_mean(trained):.2f} years"
        for group in groups
        if (trained := [r.head.mae_external for r in results(group.runs, Challenge) if r.head])
    ]
    own_head = (
        f"External error of the network's own trained output: {', '.join(head)}." if head else ""
    )
    return section(
        "age-error",
        "Age error",
        *charts,
        paragraph("Ridge regression on the frozen features. " + own_head, "note"),
    )


def site_leakage(runs: Sequence[Run]) -> Markup:
    """Site balanced accuracy as bars, beside chance and the floor set by age itself."""
    ages, baselines = results(runs, Challenge), _baselines(runs)
    chance = finite_mean([age.bacc_chance for age in ages])
    floor = finite_mean([age.bacc_age_floor for age in ages])
    rows = [
        group_row(group, _by_seed(group, "bacc_internal"), 3, bar=True)
        for group in group_runs(runs)
    ]
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
        _standardised(runs),
    )


def _standardised(runs: Sequence[Run]) -> Markup:
    """In words what the second probe tells; nothing of results that have none."""
    told = [
        f"{group.name} {finite_mean(values):.3f}"
        for group in group_runs(runs)
        if (values := _second(results(group.runs, Challenge), "features"))
    ]
    told += [
        f"{BASELINE_NAMES.get(name, name)} {finite_mean(values):.3f}"
        for name in ("pixels", "untrained")
        if (values := _second(results(runs, Challenge), name))
    ]
    if not told:
        return Markup()
    words = (
        f"By a probe that standardises the features first and chooses its strength, and for the "
        f"pixels their size, on the training subjects: {', '.join(told)}. A representation that "
        "merely shrank cannot hide a site from it."
    )
    return paragraph(words, "note")


def _second(ages: Sequence[Challenge], name: str) -> list[float]:
    return [age.bacc_standardised[name] for age in ages if name in age.bacc_standardised]


def predicted_ages(runs: Sequence[Run]) -> Markup:
    """Predicted against true age by site, a block a strategy (its first seed with scores)."""
    chosen = [
        (group, run)
        for group in group_runs(runs)
        if (run := next((run for run in group.runs if run.arrays), None)) is not None
    ]
    title = "Predicted against true age by site"
    if not chosen:
        return section("ages", title, paragraph("No predicted ages were kept."))
    axis = _age_axis([run.arrays for _, run in chosen])
    blocks = [
        block(swatch(group.colour, group.name), panels(*_panels(group, run, axis)))
        for group, run in chosen
    ]
    note = (
        "Across: true age; up: predicted age, years; dashed: where they agree. Below: mean "
        "absolute error and mean difference (predicted − true). First all subjects, then up to "
        f"{MAX_SITES} sites, the largest; first seed of each strategy."
    )
    return section("ages", title, *blocks, paragraph(note, "note"))


def _by_seed(group: Group, name: str) -> list[tuple[int, Figure]]:
    return [(run.seed, Figure.of(run.result, name)) for run in group.runs]


def _baselines(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Figures of each baseline, averaged over the runs that have it."""
    held = [age.baselines for age in results(runs, Challenge)]
    names = sorted({name for baselines in held for name in baselines})
    return {
        name: {
            key: finite_mean([getattr(each[name], key) for each in held if name in each])
            for key in (*TITLES, "bacc_internal")
        }
        for name in names
    }


def _age_axis(scores: Sequence[AgeScores]) -> Axis:
    """One axis for true and predicted ages; predictions far beyond the true ones are clipped."""
    true = np.concatenate([part.age for part in scores])
    predicted = np.concatenate([part.predicted for part in scores])
    low = min(true.min(), np.quantile(predicted, 0.005))
    high = max(true.max(), np.quantile(predicted, 0.995))
    return nice_axis(float(np.floor(low / 5) * 5), float(np.ceil(high / 5) * 5), 5)


def _panels(group: Group, run: Run, axis: Axis) -> list[Markup]:
    scores, names = run.arrays, getattr(run.result, "site_names", ())
    shown = {
        "All internal": scores.internal,
        "All external": ~scores.internal,
    }
    sites, counts = np.unique(scores.site[scores.site >= 0], return_counts=True)
    largest = [s for s, n in sorted(zip(sites, counts), key=lambda p: (-p[1], p[0])) if n >= FEWEST]
    for site in largest[:MAX_SITES]:
        here = scores.site == site
        name = names[site] if site < len(names) else f"site {site}"
        where = "internal" if scores.internal[here].any() else "external"
        shown[f"{name} ({where})"] = here
    return [_panel(title, scores, here, group, axis) for title, here in shown.items() if here.any()]


def _panel(
    title: str, scores: AgeScores, here: NDArray[np.bool_], group: Group, axis: Axis
) -> Markup:
    true, predicted = scores.age[here], scores.predicted[here]
    points = [(float(x), float(y)) for x, y in zip(true, predicted)]
    difference = float((predicted - true).mean())
    words = f"{np.abs(predicted - true).mean():.2f} y, {signed(difference, 1)} y"
    chart = scatter_chart(
        points,
        Frame(axis.titled("true age, years"), axis.titled("predicted age, years"), PANEL_HEIGHT),
        group.colour,
        f"{group.name}, {title}: predicted against true age, {words}",
    )
    return panel(chart, title, value=f"n = {len(points)}", words=words)


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a clinician."""
    return (
        "The encoder was frozen; ridge regression reads the age from its features and logistic "
        "regression the site, both fitted on the training subjects. Internal subjects come from "
        "the training sites, external ones from sites never seen.",
        "A good representation has a small age error on external subjects and does not tell the "
        "site. Lc = external error × (site balanced accuracy)^0.3 puts the two together.",
        "Sites differ in the age of their subjects, so features that hold age alone still tell a "
        "little of the site: compare with that floor, not only with chance. Figures from public "
        "data are not those of the challenge's leaderboard.",
    )


MEASURE = Measure(
    "public-validation Lc",
    "lc",
    "external age error × (site balanced accuracy)^0.3, lower is better",
    baseline="the same reading",
    drawn="subjects",
    lower_is_better=True,
    highest=math.inf,
)
KIND = Kind(
    "challenge",
    Challenge,
    MEASURE,
    (errors, site_leakage, predicted_ages, outcome.by_epoch, training.training_curves),
    how_to_read,
    read_scores,
    gaps.in_words,
    gaps.SECTIONS,
)
