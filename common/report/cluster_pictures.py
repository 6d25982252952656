"""Sections on clusters: a map of the images, and those that lie nearest to each centre."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.charts import Frame, cloud_chart, framed, nice_axis
from common.report.groups import Group, group_runs
from common.report.markup import (
    Markup,
    block,
    figure,
    folded,
    heading,
    legend,
    panel,
    panels,
    paragraph,
    pictures,
    section,
    swatch,
)
from common.report.run import Run
from common.report.schema import CURE, read_arrays
from common.report.words import class_named, plural

ARCHIVE = "clusters.npz"
AXES = {"point": 2, "point_label": 1, "picture_label": 1}
OF_CLUSTERS = {"point": 1, "size": 1, "near": 2}
COLOURS = [f"var(--class-{number})" for number in range(10)]
UNKNOWN = "var(--faint)"
HEIGHT = 260

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ClusterPictures:
    """The map of a run and its pictures.

    Attributes:
        point: ``(m, 2)``.
        point_label: ``(m,)``, -1 = not known.
        point_of: by the number of clusters K, the first of which counts, ``(m,)``, the cluster.
        size_of: likewise ``(K,)``, images of each cluster.
        near_of: likewise ``(K, n)``, pictures nearest to the centre; -1 for none.
        picture: ``(p, H, W)`` or ``(p, H, W, 3)`` in [0, 1]; none of tables.
        picture_label: ``(p,)``.
    """

    point: NDArray[np.float64]
    point_label: Integers
    point_of: dict[int, Integers]
    size_of: dict[int, Integers]
    near_of: dict[int, Integers]
    picture: NDArray[np.float64]
    picture_label: Integers


def read_pictures(run: Run) -> ClusterPictures | None:
    """Read clusters.npz; None where it is absent.

    Raises:
        InputError: a damaged archive, or arrays that do not fit together.
    """
    path = run.folder / ARCHIVE
    if not path.exists():
        return None
    arrays = read_arrays(path, AXES)
    numbers = [int(name[8:]) for name in arrays if re.fullmatch(r"size_of_\d+", name)]
    own = {f"{name}_of_{k}": axes for k in numbers for name, axes in OF_CLUSTERS.items()}
    arrays = read_arrays(path, AXES | own)
    picture = arrays.get("picture", np.zeros((0, 1, 1), np.uint8))
    shown = len(arrays["picture_label"])
    require(
        picture.ndim in (3, 4) and len(picture) in (0, shown)
        and all(len(arrays[f"near_of_{k}"]) == len(arrays[f"size_of_{k}"]) == k for k in numbers)
        and all(arrays[f"near_of_{k}"].max(initial=-1) < shown for k in numbers)
        and all(len(arrays[f"point_of_{k}"]) == len(arrays["point"]) for k in numbers)
        and arrays["point"].shape == (len(arrays["point_label"]), 2),
        f"{path}: must hold points with their clusters and labels, and pictures of each cluster, "
        f"got {', '.join(f'{name} {array.shape}' for name, array in sorted(arrays.items()))}. "
        f"{CURE}",
    )  # fmt: skip
    point_of, size_of, near_of = (
        {k: arrays[f"{name}_of_{k}"].astype(np.int64) for k in numbers} for name in OF_CLUSTERS
    )
    return ClusterPictures(
        arrays["point"].astype(np.float64),
        arrays["point_label"].astype(np.int64),
        point_of,
        size_of,
        near_of,
        picture.astype(np.float64) / 255,
        arrays["picture_label"].astype(np.int64),
    )


def maps(runs: Sequence[Run]) -> Markup:
    """The images of each strategy on a map, coloured by cluster and by class (Fig. 4)."""
    panes = []
    for group in group_runs(runs):
        run = _first(group)
        if run is None:
            continue
        shown: ClusterPictures = run.arrays
        count = next(iter(shown.point_of))
        low, high = shown.point.min(axis=0), shown.point.max(axis=0)
        across, up = (nice_axis(float(a), float(b), 3) for a, b in zip(low, high))
        frame = Frame(across, up, HEIGHT)
        classes = getattr(run.result, "classes", ())
        panes += [
            _map(shown, shown.point_of[count], frame, group, "cluster", ()),
            _map(shown, shown.point_label, frame, group, "class", classes),
        ]
    if not panes:
        return Markup()
    note = (
        "t-SNE of the features of up to 1,000 images drawn by chance, first seed of each strategy: "
        "left in the colour of the cluster, right in that of the class (grey: not known). It keeps "
        "neighbours together; distances between groups mean nothing, and figures are not computed "
        "on it."
    )
    return section(
        "cluster-maps",
        "The images on a map",
        panels(*panes, kind="halves"),
        paragraph(note, "note"),
    )


def _map(
    shown: ClusterPictures,
    values: Integers,
    frame: Frame,
    group: Group,
    of: str,
    names: Sequence[str],
) -> Markup:
    """The points in the colours of their clusters or classes, and which colour is which."""
    there = np.unique(values).tolist()
    clouds = [(_colour(value, of), shown.point[values == value].tolist()) for value in there]
    called = [swatch(_colour(value, of), _name(value, of, names)) for value in there]
    title = f"{group.name}: by {of}"
    chart = cloud_chart(clouds, frame, title)
    return panel(chart + legend(*called), swatch(group.colour, title))


def galleries(runs: Sequence[Run]) -> Markup:
    """The images nearest to the centre of each cluster (Figs. 4, 6, 7 and 12)."""
    parts: list[Markup] = []
    for group in group_runs(runs):
        run = _first(group)
        if run is None or len(run.arrays.picture) == 0:
            continue
        shown: ClusterPictures = run.arrays
        for count in shown.near_of:
            name = f"{group.name}, {plural(count, 'cluster')}"
            names = getattr(run.result, "classes", ())
            clusters = [_cluster(shown, count, number, names) for number in range(count)]
            parts += [folded(name, *clusters)] if parts else [heading(name), *clusters]
    if not parts:
        return Markup()
    note = (
        "The images nearest to the centre of each cluster, the nearest first; below each its "
        "class. First seed of each strategy; press a line to open the others."
    )
    return section("galleries", "What a cluster shows", *parts, paragraph(note, "note"))


def _cluster(shown: ClusterPictures, count: int, cluster: int, names: Sequence[str]) -> Markup:
    rows = [row for row in shown.near_of[count][cluster].tolist() if row >= 0]
    figures = [
        figure(
            framed(shown.picture[row], f"an image of cluster {cluster}"),
            name=_name(int(shown.picture_label[row]), "class", names),
        )
        for row in rows
    ]
    size = int(shown.size_of[count][cluster])
    title = swatch(_colour(cluster, "cluster"), f"cluster {cluster}: {plural(size, 'image')}")
    return block(title, pictures(*figures, kind="even") if figures else paragraph("No image."))


def _first(group: Group) -> Run | None:
    """The first seed that has pictures."""
    return next((run for run in group.runs if isinstance(run.arrays, ClusterPictures)), None)


def _colour(value: int, of: str) -> str:
    """Of a class another than of the cluster of its number, which has nothing to do with it."""
    place = value if of == "cluster" else value + len(COLOURS) // 2
    return UNKNOWN if value < 0 else COLOURS[place % len(COLOURS)]


def _name(value: int, of: str, names: Sequence[str]) -> str:
    if value < 0:
        return "not known"
    return class_named(names[value]) if value < len(names) else f"{of} {value}"
