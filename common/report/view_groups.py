"""Section on augmented views: distances of pairs, silhouette, map (Fig. 2 of Cheng et al.)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.charts import Axis, Frame, cloud_chart, line_chart, nice_axis, steps
from common.report.groups import Group, group_runs
from common.report.markup import Markup, block, legend, panel, panels, paragraph, section, swatch
from common.report.run import Run
from common.report.schema import CURE, Edges, Positive, Unknown, number, read_arrays, refuse

COLOURS = {"positive": "var(--aligned)", "negative": "var(--conflicting)"}
NAMES = {"positive": "two views of one image", "negative": "views of two images"}
IN_COLOUR = 10
FAINT = "var(--faint)"
EMPTY = 1e-9
PLACES = "groups.npz"


@dataclass(frozen=True)
class PairCounts:
    """Mean distance of the pairs of a kind, and how many are in each bin."""

    mean: Positive
    counts: tuple[Unknown, ...]


@dataclass(frozen=True, kw_only=True)
class Groups:
    """Augmented views as the encoder sees them.

    Attributes:
        images: their number.
        views: of each.
        silhouette: in [-1, 1].
        edges: borders of the bins of distances.
        positive: pairs of two views of one image.
        negative: pairs of views of two images.
    """

    images: int
    views: int
    silhouette: Annotated[float, number(-1, 1)]
    edges: Edges
    positive: PairCounts
    negative: PairCounts

    def __post_init__(self) -> None:
        for pair in COLOURS:
            if len(getattr(self, pair).counts) != len(self.edges) - 1:
                refuse(f"{pair}.counts", f"a list of {len(self.edges) - 1} numbers")


def read_places(run: Run) -> NDArray[np.float64] | None:
    """Read the places ``(images, views, 2)`` of views on a map; None where there is none.

    Raises:
        InputError: a damaged archive.
    """
    path = run.folder / PLACES
    if _of_run(run) is None or not path.exists():
        return None
    arrays = read_arrays(path)
    shape = arrays["place"].shape if "place" in arrays else ()
    require(
        len(shape) == 3 and shape[2] == 2,
        f"{path}: must hold an array 'place' (images, views, 2), got {shape}. {CURE}",
    )
    return arrays["place"].astype(np.float64)


def view_groups(runs: Sequence[Run]) -> Markup:
    """Densities and map of every strategy that has them, first seed."""
    shown = [
        (group, run, groups)
        for group in group_runs(runs)
        for run in [next((run for run in group.runs if _of_run(run)), group.runs[0])]
        if (groups := _of_run(run)) is not None
    ]
    if not shown:
        return Markup()
    note = (
        "Distances: Euclidean, of the last class token; up, the share of the pairs. Silhouette: of "
        "images as clusters of their views, from −1 to 1, higher where images stand apart. Map: "
        "t-SNE of the views, ten images in colours and the others grey; only which views are near "
        "each other has a meaning. Each strategy sees the views of its own training, and weaker "
        "views lie closer together in any representation: to compare encoders alone, evaluate all "
        "with the same views. First seed of each strategy."
    )
    return section(
        "view-groups",
        "Do the views of an image belong together?",
        legend(*(swatch(COLOURS[pair], NAMES[pair]) for pair in COLOURS)),
        *(_block(group, run, groups) for group, run, groups in shown),
        paragraph(note, "note"),
    )


def _of_run(run: Run) -> Groups | None:
    return getattr(run.result, "groups", None)


def _block(group: Group, run: Run, groups: Groups) -> Markup:
    words = (
        f"mean distance {groups.positive.mean:.2f} of positive and "
        f"{groups.negative.mean:.2f} of negative pairs, silhouette {groups.silhouette:.3f}"
    ).replace("-", "−")
    lines = [steps(groups.edges, getattr(groups, pair).counts, COLOURS[pair]) for pair in COLOURS]
    top = max(EMPTY, *(max(line.y) for line in lines))
    frame = Frame(
        nice_axis(groups.edges[0], groups.edges[-1], 5).titled("distance of two views"),
        Axis(0.0, top).titled("share of the pairs"),
        300,
    )
    shown = [panel(line_chart(lines, frame, f"{group.name}: distances of pairs of views"))]
    if run.arrays is not None:
        shown.append(_map(group, run.arrays))
    return block(swatch(group.colour, group.name) + ": " + words, panels(*shown, kind="halves"))


def _map(group: Group, place: NDArray[np.float64]) -> Markup:
    clouds = [(FAINT, _points(place[IN_COLOUR:]))]
    clouds += [
        (f"var(--class-{number})", _points(views)) for number, views in enumerate(place[:IN_COLOUR])
    ]
    low, high = place.reshape(-1, 2).min(axis=0), place.reshape(-1, 2).max(axis=0)
    axes = Frame(nice_axis(low[0], high[0], 3), nice_axis(low[1], high[1], 4), 300)
    return panel(cloud_chart(clouds, axes, f"{group.name}: map of views"))


def _points(place: NDArray[np.float64]) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in place.reshape(-1, 2)]
