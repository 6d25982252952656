"""Sections on what the transformations did: lambda, its spread over images, lesions kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from common.report.charts import DotRow, dot_chart, histogram, nice_axis
from common.report.groups import Group, group_runs
from common.report.markup import (
    Markup,
    block,
    ends,
    panel,
    panels,
    paragraph,
    section,
    swatch,
)
from common.report.run import Run, finite_mean
from common.report.schema import Edges, Share, Unknown, refuse
from common.report.words import listed, parameters, plural

PRACTICALLY_CONSTANT = 0.02
UNIFORM_SPREAD = 1 / math.sqrt(12)
LEARNED_KEYS = ("self_supervised", "learned")


@dataclass(frozen=True)
class Histogram:
    """Images per bin: the bins' borders and, for each parameter, the counts."""

    edges: Edges
    counts: tuple[tuple[Unknown, ...], ...]

    def __post_init__(self) -> None:
        if any(len(row) != len(self.edges) - 1 for row in self.counts):
            refuse("counts", f"lists of {len(self.edges) - 1} numbers")


@dataclass(frozen=True)
class Transform:
    """What the transformations did on the evaluation images.

    Attributes:
        names: K parameters, in the order of lambda.
        lam_mean: K means of lambda over images, in [0, 1]; NaN where never applied.
        lam_std_over_images: K standard deviations of lambda; NaN where never applied.
        histogram: of each parameter over images.
        lesion_kept: share of transformed images that keep the lesion, in [0, 1], or None.
        n_lesion_images: images that share was counted on.
        units: what 0 and 1 mean for each parameter; empty in files that do not say it.
    """

    names: tuple[str, ...]
    lam_mean: tuple[Unknown, ...]
    lam_std_over_images: tuple[Unknown, ...]
    histogram: Histogram
    lesion_kept: Share | None
    n_lesion_images: int
    units: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for key in ("lam_mean", "lam_std_over_images"):
            if len(getattr(self, key)) != len(self.names):
                refuse(key, f"a list of {len(self.names)} numbers")
        if len(self.histogram.counts) != len(self.names):
            refuse("histogram.counts", "one list per parameter")
        if self.units and len(self.units) != len(self.names):
            refuse("units", f"a list of {len(self.names)} pairs")


def transform_of(run: Run) -> Transform | None:
    """What a run says its transformations did."""
    return getattr(run.result, "transform", None)


def _transforms(group: Group) -> list[tuple[int, Transform]]:
    """(seed, transform) of the runs that say what their transformations did, all alike in names."""
    known = [(run.seed, transform_of(run)) for run in group.runs]
    transforms = [(seed, transform) for seed, transform in known if transform is not None]
    return [pair for pair in transforms if pair[1].names == transforms[0][1].names]


def _learned_first(runs: Sequence[Run]) -> list[Group]:
    groups = [group for group in group_runs(runs) if _transforms(group)]
    groups.sort(key=lambda group: not group.key.startswith(LEARNED_KEYS))
    return groups


def histograms(runs: Sequence[Run]) -> Markup:
    """Histogram of each parameter for each strategy, with mean and spread over images."""
    groups = _learned_first(runs)
    heading = "Which transformations were applied (λ)"
    if not groups:
        return section("lambda", heading, paragraph("No run recorded its transformations."))
    blocks = [block(swatch(group.colour, group.name), panels(*_panels(group))) for group in groups]
    several = any(len(group.runs) > 1 for group in groups)
    note = (
        "Each bar counts images; λ runs from 0 to 1, and the ends say what that means. Below: "
        "mean λ ± its standard deviation over images" + (", averaged over seeds" if several else "")
    )
    note += ". Shades: seeds, stacked." if several else "."
    return section("lambda", heading, *blocks, paragraph(note, "note"))


def _panels(group: Group) -> list[Markup]:
    transforms = _transforms(group)
    first = transforms[0][1]
    made = []
    for index, parameter in enumerate(parameters(first.names, first.units)):
        mean = finite_mean([transform.lam_mean[index] for _, transform in transforms])
        words = f"{mean:.2f} ± {_spread(group, index):.3f}" if math.isfinite(mean) else "never used"
        bars = _bars(group, index, f"{group.name}, {parameter.title}: {words}")
        chart = bars + ends(parameter.zero, parameter.one)
        made.append(panel(chart, parameter.title, words=words, kind="small"))
    return made


def _bars(group: Group, index: int, title: str) -> Markup:
    transforms = [transform for _, transform in _transforms(group)]
    edges = transforms[0].histogram.edges
    alike = [transform for transform in transforms if transform.histogram.edges == edges]
    stacks = list(zip(*(transform.histogram.counts[index] for transform in alike)))
    return histogram(edges, stacks, group.colour, title)


def _spread(group: Group, index: int) -> float:
    """Standard deviation of lambda over images, averaged over seeds; NaN where never applied."""
    return finite_mean(
        [transform.lam_std_over_images[index] for _, transform in _transforms(group)]
    )


def spread_over_images(runs: Sequence[Run]) -> Markup:
    """Does the policy look at the image? The standard deviation of lambda over images."""
    groups = _learned_first(runs)
    if not groups:
        return Markup()
    rows, sentences = [], []
    for group in groups:
        titles = [parameter.title for parameter in parameters(_transforms(group)[0][1].names)]
        spreads = {
            title: value
            for index, title in enumerate(titles)
            if math.isfinite(value := _spread(group, index))
        }
        if not spreads:
            continue
        rows.append(_spread_row(group, spreads))
        sentences.append(_spread_sentence(group, spreads))
    highest = max((value for row in rows for value, _ in row.small), default=0.0)
    axis = nice_axis(0.0, max(0.3, highest), 4)
    references = [(PRACTICALLY_CONSTANT, f"practically constant {PRACTICALLY_CONSTANT}")]
    references.append((UNIFORM_SPREAD, f"uniform draw {UNIFORM_SPREAD:.2f}"))
    paragraphs = [paragraph(words) for words in sentences if words] or [
        paragraph(
            "No transformation is practically constant: every standard deviation of λ over images "
            f"is {PRACTICALLY_CONSTANT} or more."
        )
    ]
    chart = dot_chart(rows, axis, references, "standard deviation of λ over images")
    note = "Each dot is one transformation parameter (the mean over seeds)."
    return section(
        "spread",
        "Does the transformation depend on the image?",
        *paragraphs,
        chart,
        paragraph(note, "note"),
    )


def _spread_row(group: Group, spreads: dict[str, float]) -> DotRow:
    dots = tuple((value, f"{title}: {value:.3f}") for title, value in spreads.items())
    low, high = min(spreads.values()), max(spreads.values())
    return DotRow(group.name, group.colour, f"{low:.3f} to {high:.3f}", dots)


def _spread_sentence(group: Group, spreads: dict[str, float]) -> str:
    below = {title: value for title, value in spreads.items() if value < PRACTICALLY_CONSTANT}
    if not below:
        return ""
    if len(below) == len(spreads):
        largest = max(below, key=lambda title: below[title])
        return (
            f"{group.name}: practically the same transformation for every image. Every parameter "
            f"varies by less than {PRACTICALLY_CONSTANT} over images; {largest} varies most "
            f"({below[largest]:.3f})."
        )
    quoted = [f"{title} ({value:.3f})" for title, value in below.items()]
    return f"{group.name}: practically the same transformation for every image in {listed(quoted)}."


def lesions_kept(runs: Sequence[Run]) -> Markup:
    """Share of transformed images that keep the lesion, for each strategy."""
    rows = []
    for group in group_runs(runs):
        known = [
            (seed, transform.lesion_kept, transform.n_lesion_images)
            for seed, transform in _transforms(group)
            if transform.lesion_kept is not None
        ]
        if known:
            share = finite_mean([kept for _, kept, _ in known])
            images = max(count for _, _, count in known)
            dots = tuple((kept, f"seed {seed}: {100 * kept:.0f} %") for seed, kept, _ in known)
            words = f"{100 * share:.0f} % of {plural(images, 'image')}"
            small = dots if len(dots) > 1 else ()
            rows.append(DotRow(group.name, group.colour, words, small, share))
    heading = "Does the lesion survive the transformation?"
    if not rows:
        return section("lesions", heading, paragraph("No lesion masks, so this was not counted."))
    axis = nice_axis(0.0, 100.0)
    scaled = [_in_percent(row) for row in rows]
    chart = dot_chart(
        scaled, axis, [], "% of transformed images that keep at least half of the lesion"
    )
    return section(
        "lesions",
        heading,
        paragraph(
            "A transformation that removes the lesion teaches the encoder that the lesion does not "
            "matter."
        ),
        chart,
    )


def _in_percent(row: DotRow) -> DotRow:
    small = tuple((100 * value, name) for value, name in row.small)
    mean = None if row.mean is None else 100 * row.mean
    return DotRow(row.label, row.colour, row.words, small, mean)
