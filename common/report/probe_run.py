"""What a run with an SGD probe adds: its matrix of data sets, its seeds, and ``groups.npz``."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.arrays import read_arrays
from common.report.fields import CURE, Fields

__all__ = ["FIGURES", "Groups", "ProbeRow", "ProbeRun", "load_probe"]

FIGURES = ("auroc", "aupr", "sensitivity", "specificity", "accuracy")
PAIRS = ("positive", "negative")
PLACES = "groups.npz"


@dataclass(frozen=True)
class ProbeRow:
    """A probe trained on one data set and scored on another, or on the same.

    Attributes:
        training: name of the one.
        test: name of the other.
        figures: means over the probe's seeds, NaN where not known.
        ends: of the interval of each figure, NaN where not known.
        seeds: macro AUROC of each seed.
    """

    training: str
    test: str
    figures: dict[str, float]
    ends: dict[str, tuple[float, float]]
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Groups:
    """Augmented views: histograms of distances and places on a map.

    Attributes:
        edges: borders of the bins, increasing.
        counts: of "positive" and "negative" pairs in each bin.
        means: of their distances.
        silhouette: in [-1, 1].
        place: ``(images, views, 2)``, None where groups.npz is absent.
    """

    edges: tuple[float, ...]
    counts: dict[str, tuple[float, ...]]
    means: dict[str, float]
    silhouette: float
    place: NDArray[np.float64] | None


@dataclass(frozen=True)
class ProbeRun:
    """A run judged by the macro AUROC of a probe trained by SGD, or of its own head.

    Attributes:
        readout: "probe" or "head".
        rows: the first is that of the run's own figure.
        logistic: AUROC of the baselines' reading of the trained encoder.
        groups: None where they were left out.
        left_out: the class that sensitivity, specificity and accuracy leave out, "" for none.
    """

    readout: str
    rows: tuple[ProbeRow, ...]
    logistic: float
    groups: Groups | None
    left_out: str = ""


def load_probe(fields: Fields, folder: Path) -> ProbeRun:
    """Read what an evaluation of the kind "macro_auroc" adds.

    Raises:
        InputError: a value breaks its rule.
    """
    rows = tuple(_row(row) for row in fields.items("matrix"))
    require(len(rows) > 0, f"{fields.path}: matrix must have at least one row, got none. {CURE}")
    return ProbeRun(
        readout=fields.text("readout"),
        rows=rows,
        logistic=fields.inside("logistic").number("auroc", 0, 1),
        groups=_groups(fields.inside("groups"), folder) if fields.has("groups") else None,
        left_out=fields.text("left_out") if fields.has("left_out") else "",
    )


def _row(fields: Fields) -> ProbeRow:
    ends = {}
    for name in FIGURES:
        low, high = fields.inside("interval").numbers(name, 2)
        ends[name] = (low, high)
    return ProbeRow(
        training=fields.text("training"),
        test=fields.text("test"),
        figures={name: _known(fields, name) for name in FIGURES},
        ends=ends,
        seeds=tuple(_known(seed, "auroc") for seed in fields.items("seeds")),
    )


def _known(fields: Fields, name: str) -> float:
    return fields.number(name, 0, 1) if fields.has(name) else math.nan


def _groups(fields: Fields, folder: Path) -> Groups:
    edges = fields.numbers("edges")
    require(len(edges) >= 2, f"{fields.path}: groups.edges must be two or more numbers. {CURE}")
    path = folder / PLACES
    return Groups(
        edges=edges,
        counts={pair: fields.inside(pair).numbers("counts", len(edges) - 1) for pair in PAIRS},
        means={pair: fields.inside(pair).number("mean", 0) for pair in PAIRS},
        silhouette=fields.number("silhouette", -1, 1),
        place=_place(path) if path.exists() else None,
    )


def _place(path: Path) -> NDArray[np.float64]:
    arrays = read_arrays(path)
    shape = arrays["place"].shape if "place" in arrays else ()
    require(
        len(shape) == 3 and shape[2] == 2,
        f"{path}: must hold an array 'place' (images, views, 2), got {shape}. {CURE}",
    )
    return arrays["place"].astype(np.float64)
