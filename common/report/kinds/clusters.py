"""Sections on clusters: agreement with the classes, maps of the images, those nearest a centre."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev
from typing import Annotated

from common.report import cluster_pictures, training
from common.report import results as outcome
from common.report.groups import group_runs
from common.report.kind import Epoch, Interval, Kind, Measure, Result
from common.report.markup import (
    Markup,
    figure_table,
    paragraph,
    row_head,
    section,
    swatch,
)
from common.report.results import compared
from common.report.run import Run, results
from common.report.schema import Ends, Positive, Share, Text, number, refuse
from common.report.words import plural

BASELINES = outcome.BASELINE_NAMES | {"intensity": "intensity (brightness alone)"}

Agreement = Annotated[float, number(-1, 1)]


@dataclass(frozen=True, kw_only=True)
class Clustered:
    """One number of clusters: means over the seeds of k-means, and the AMI's spread over them."""

    clusters: int
    ami: Agreement
    ami_arithmetic: Agreement
    ami_std: Positive
    silhouette: Agreement


@dataclass(frozen=True, kw_only=True)
class Representation:
    """What one representation is worth.

    Attributes:
        ami: of the first number of clusters.
        clusterings: each number of clusters.
        probe: accuracy of a linear classifier.
        effective_rank: directions that the features fill.
    """

    ami: Agreement
    clusterings: tuple[Clustered, ...]
    probe: Share
    effective_rank: Positive

    def __post_init__(self) -> None:
        if not self.clusterings:
            refuse("clusterings", "one clustering or more")


@dataclass(frozen=True, kw_only=True)
class ClustersEpoch(Epoch):
    """The figure of one epoch."""

    ami: Agreement


@dataclass(frozen=True, kw_only=True)
class ClustersInterval(Interval):
    """The two ends of the AMI."""

    ami: Ends


@dataclass(frozen=True, kw_only=True)
class Clusters(Result, Representation):
    """A run judged by its clusters.

    Attributes:
        part: the part that was clustered, "test" or "validation".
        starts: of k-means, the best of which is taken.
        seeds: of k-means.
        lpips: mean perceptual distance of two views of an image, None where it was not computed.
        classes: names of the classes, by number.
    """

    part: Text
    interval: ClustersInterval
    epochs: tuple[ClustersEpoch, ...]
    baselines: dict[str, Representation] = field(default_factory=dict)
    starts: int
    seeds: int
    lpips: Positive | None = None
    classes: tuple[Text, ...] = ()


def table(runs: Sequence[Run]) -> Markup:
    """A row a strategy, then the baselines; the columns of each number of clusters together."""
    groups = group_runs(runs)
    found = results(runs, Clusters)
    numbers = sorted({each.clusters for result in found for each in result.clusterings})
    heads = [
        f"{name}, K\u00a0=\u00a0{k}" if len(numbers) > 1 else name
        for k in numbers
        for name in ("AMI", "AMI (arithmetic)", "silhouette")
    ]
    heads += ["probe, %", "effective rank"]
    distances = any(result.lpips is not None for result in found)
    rows: list[tuple[str, list[str]]] = []
    for group in groups:
        own = results(group.runs, Clusters)
        lpips = [result.lpips for result in own if result.lpips is not None]
        cells = [*_cells(own, numbers), *([_written(lpips, 3)] if distances else [])]
        rows.append((swatch(group.colour, group.name), cells))
    for name in dict.fromkeys(name for result in found for name in result.baselines):
        of_name = [result.baselines[name] for result in found if name in result.baselines]
        cells = [*_cells(of_name, numbers), *(["–"] if distances else [])]
        rows.append((row_head(BASELINES.get(name, name)), cells))
    heads += ["LPIPS of two views"] if distances else []
    return section(
        "clusters",
        "Clusters and classes",
        part_warning(runs),
        figure_table("representation", heads, rows),
        paragraph(_note(found), "note"),
    )


def part_warning(runs: Sequence[Run]) -> Markup:
    """A warning where another part than the test part was clustered, else nothing."""
    if {result.part for result in results(runs, Clusters)} == {"test"}:
        return Markup()
    words = "Figures of a validation part choose settings; they are not results."
    return paragraph(words, "warning")


def in_words(runs: Sequence[Run]) -> list[str]:
    """How well the clusters of the verdict's first strategy agree with the classes."""
    group = compared(group_runs(runs))[0]
    own = results(group.runs, Clusters)
    first = own[0].clusterings[0]
    agreed, probe = (fmean(getattr(each, name) for each in own) for name in ("ami", "probe"))
    return [
        f"{plural(first.clusters, 'cluster')} found without labels by {group.name} agree with the "
        f"classes by {agreed:.2f} (adjusted mutual information: 1 is the same, 0 is chance); a "
        f"linear classifier on the same features names {100 * probe:.0f}\u00a0% of the images "
        "rightly."
    ]


def how_to_read(_: Sequence[Run]) -> Sequence[str]:
    """A few paragraphs for a reader who knows no clustering."""
    return (
        "Adjusted mutual information (AMI) says how much the clusters tell of the classes, freed "
        "of what chance would give: 0 is chance, 1 the same groups. The silhouette says how far "
        "the clusters lie apart, whatever they mean: a high silhouette with a low AMI is clear "
        "clusters of something else than the classes.",
        "The encoder was trained without labels. What its clusters mean is what its "
        "transformations left as the difference between images: look at the galleries.",
        "The probe may use the labels and finds classes that no cluster shows; where the probe is "
        "low too, the features have lost the class.",
        "Compare with the pixels and the untrained encoder before calling a strategy good.",
    )


def _cells(found: Sequence[Representation], numbers: Sequence[int]) -> list[str]:
    cells = []
    for k in numbers:
        own = [each for result in found for each in result.clusterings if each.clusters == k]
        for name in ("ami", "ami_arithmetic", "silhouette"):
            cells.append(_written([getattr(each, name) for each in own], 3))
    cells.append(_written([100 * each.probe for each in found], 1))
    return [*cells, _written([each.effective_rank for each in found], 1)]


def _written(values: Sequence[float], decimals: int) -> str:
    if not values:
        return "–"
    mean = f"{fmean(values):.{decimals}f}".replace("-", "−")
    return mean if len(set(values)) == 1 else f"{mean} ± {stdev(values):.{decimals}f}"


def _note(found: Sequence[Clusters]) -> str:
    seeds = ", ".join(sorted({str(result.seeds) for result in found}))
    starts = ", ".join(sorted({str(result.starts) for result in found}))
    images = ", ".join(sorted({f"{r.counts.get('silhouette_images', 0):,}" for r in found}))
    return (
        f"k-means on the features as they are, the best of {starts} starts, means over {seeds} "
        "seeds of it; ± is the standard deviation over the seeds of the training. AMI is divided "
        "by the larger entropy, as the paper's formula has it, and in the next column by the mean "
        f"of both. Silhouette and rank are of {images} images. The probe is a logistic regression "
        "on the training images."
    )


MEASURE = Measure(
    "AMI",
    "ami",
    "adjusted mutual information of the clusters and the classes (0 is chance, 1 the same)",
    baseline="k-means",
    drawn="images",
    choice="transformations",
    chance=0.0,
    decimals=3,
)
KIND = Kind(
    "clusters",
    Clusters,
    MEASURE,
    (
        table,
        cluster_pictures.maps,
        cluster_pictures.galleries,
        outcome.by_epoch,
        training.training_curves,
    ),
    how_to_read,
    cluster_pictures.read_pictures,
    in_words,
)
