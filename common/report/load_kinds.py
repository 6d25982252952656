"""What evaluation.json holds beyond the common part, by the kind of the evaluation."""

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import require
from common.report.fields import CURE, Fields
from common.report.runs import (
    Age,
    AgeScores,
    Cases,
    Classes,
    Distances,
    Figure,
    Measure,
    SiteRow,
)

LINEAR = "linear"
MEASURES = {
    LINEAR: Measure(
        "AUC",
        "auc_mean",
        "AUC of a linear classifier on the frozen encoder, from chance (0.5) up",
        choice="transformations",
        chance=0.5,
    ),
    "challenge": Measure(
        "public-validation Lc",
        "lc",
        "external age error × (site balanced accuracy)^0.3, lower is better",
        baseline="the same reading",
        drawn="subjects",
        lower_is_better=True,
        highest=math.inf,
    ),
    "accuracy": Measure(
        "accuracy",
        "accuracy",
        "accuracy, % of the images scored",
        drawn="images",
        scale=100.0,
        decimals=1,
        unit=" %",
        difference=" points",
    ),
    "case_control": Measure(
        "external AUC",
        "auc_external",
        "AUC on subjects of sites that were not trained on, from chance (0.5) up",
        choice="the pre-training",
        chance=0.5,
    ),
    "multi_label": Measure(
        "mean AUC",
        "auc_mean",
        "mean over the findings of the AUC of a linear classifier on the frozen encoder",
        chance=0.5,
        decimals=3,
    ),
    "macro_auroc": Measure(
        "macro AUROC",
        "auroc",
        "AUROC of a linear classifier on the frozen encoder, mean over the classes",
        baseline="a logistic regression",
        choice="the augmentation",
        chance=0.5,
        decimals=3,
    ),
}
GROUPS = (
    "positive_aligned",
    "positive_conflicting",
    "negative_aligned",
    "negative_conflicting",
)
SHARES = ("accuracy", "accuracy_aligned", "accuracy_conflicting")
ERRORS = ("mae_internal", "mae_external")


def kind_of(fields: Fields) -> str:
    """Return the kind of an evaluation; one that names none is the linear evaluation.

    Raises:
        InputError: a kind this report does not know.
    """
    kind = fields.text("kind") if fields.has("kind") else LINEAR
    require(
        kind in MEASURES,
        f"{fields.path}: kind must be one of {', '.join(MEASURES)}, got {kind!r}. {CURE}",
    )
    return kind


def chance(fields: Fields, kind: str) -> float | None:
    """Return the figure of guessing, as shown: one in so many classes, or the measure's own."""
    if kind == "accuracy":
        return MEASURES[kind].scale / max(1, fields.inside("counts").integer("classes"))
    return MEASURES[kind].chance


def figure(fields: Fields, name: str, highest: float) -> Figure:
    """Return a number between 0 and `highest` with its interval."""
    ends = fields.inside("interval").numbers(name, 2)
    return Figure(fields.number(name, 0, highest), *ends)


def age(fields: Fields, arrays: Mapping[str, NDArray[Any]] | None, scores: Path) -> Age:
    """Read what a brain-age run adds."""
    highest = {"mae_internal": math.inf, "mae_external": math.inf, "bacc_internal": 1.0}
    return Age(
        figures={name: figure(fields, name, top) for name, top in highest.items()},
        baselines={
            name: {key: entry.number(key, 0, top) for key, top in highest.items()}
            for name, entry in tables(fields, "baselines").items()
        },
        chance=fields.number("bacc_chance", 0, 1),
        floor=fields.number("bacc_age_floor", 0, 1),
        head={name: fields.inside("head").number(name, 0) for name in ERRORS}
        if fields.has("head")
        else {},
        scores=None if arrays is None else _age_scores(arrays, scores),
        site_names=_site_names(fields),
    )


def classes(fields: Fields) -> Classes:
    """Read what a run of classes adds."""
    readout = fields.text("readout")
    return Classes(
        readout=readout,
        shares={readout: _shares(fields)} | {"probe": _shares(fields.inside("probe"))},
        part=fields.text("part"),
        distances=_distances(fields.inside("distances")) if fields.has("distances") else None,
    )


def cases(fields: Fields) -> Cases:
    """Read what a run on a diagnosis adds."""
    names = ("auc_internal", "auc_external")
    rows = []
    if fields.has("leave_site_out"):
        rows = [
            SiteRow(
                row.integer("site"),
                row.integer("subjects"),
                row.integer("cases"),
                row.number("auc", 0, 1),
            )
            for row in fields.inside("leave_site_out").items("sites")
        ]
    return Cases(
        readout=fields.text("readout"),
        figures={name: figure(fields, name, 1.0) for name in names},
        probe={name: fields.inside("probe").number(name, 0, 1) for name in names},
        sites=tuple(rows),
        site_names=_site_names(fields),
    )


def findings(fields: Fields) -> dict[str, Figure]:
    """Read the AUC of each finding of a run that has several, where it is known."""
    areas, ends = fields.inside("auc"), fields.inside("interval").inside("auc")
    return {
        name: Figure(areas.number(name, 0, 1), *ends.numbers(name, 2))
        for name in fields.texts("findings")
        if areas.has(name)
    }


def finding_baselines(fields: Fields) -> dict[str, dict[str, float]]:
    """Read what each baseline reaches on each finding."""
    return {
        baseline: {
            name: entry.inside("auc").number(name, 0, 1)
            for name in fields.texts("findings")
            if entry.inside("auc").has(name)
        }
        for baseline, entry in tables(fields, "baselines").items()
    }


def tables(fields: Fields, key: str) -> dict[str, Fields]:
    """Return the objects inside the object under `key`, by name; absent counts as empty."""
    return {
        name: Fields(fields.path, entry, f"{fields.prefix}{key}.{name}.")
        for name, entry in fields.table(key).items()
        if isinstance(entry, dict)
    }


def _site_names(fields: Fields) -> tuple[str, ...]:
    return fields.texts("site_names") if fields.has("site_names") else ()


def _shares(fields: Fields) -> dict[str, float]:
    return {
        name: 100 * fields.number(name, 0, 1) if fields.has(name) else math.nan for name in SHARES
    }


def _distances(fields: Fields) -> Distances:
    edges = fields.numbers("edges")
    require(
        len(edges) >= 2 and all(low < high for low, high in pairwise(edges)),
        f"{fields.path}: {fields.prefix}edges must be two or more increasing numbers. {CURE}",
    )
    counts: dict[str, dict[str, tuple[float, ...]]] = {}
    means: dict[str, dict[str, float]] = {}
    for moment in ("before", "after"):
        groups = {name: fields.inside(moment).inside(name) for name in GROUPS}
        counts[moment] = {
            name: group.numbers("counts", len(edges) - 1) for name, group in groups.items()
        }
        means[moment] = {
            name: group.number("mean", 0) if group.has("mean") else math.nan
            for name, group in groups.items()
        }
    return Distances(edges, counts, means)


def _age_scores(arrays: Mapping[str, NDArray[Any]], path: Path) -> AgeScores:
    names = ("age", "predicted_age", "site", "internal")
    for name in names:
        require(
            name in arrays and arrays[name].shape == arrays["age"].shape,
            f"{path}: must hold an array {name!r} of one value a subject. {CURE}",
        )
    known = np.isfinite(arrays["age"])
    values = {name: arrays[name][known] for name in names}
    return AgeScores(
        values["age"].astype(np.float64),
        values["predicted_age"].astype(np.float64),
        values["site"].astype(np.int64),
        values["internal"].astype(np.bool_),
    )
