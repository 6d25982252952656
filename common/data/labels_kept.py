"""Labels for a fraction of the patients."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.manifest import seeded_digest
from common.data.rows import Rows, coded, numbers

__all__ = ["keep_labels", "labelled_only"]


def keep_labels(
    data: Sequence[dict[str, Any]], label_fraction: float, seed: int
) -> Sequence[dict[str, Any]]:
    """Keep ``label`` for a fraction of the patients and set it to -1 for all others.

    Patients are drawn in the order of `seeded_order`: at least one, and as many more as it takes
    until every class is seen. A larger one with the same seed keeps the earlier patients.

    Args:
        data: entries with ``label`` (int, -1 for none) and ``patient``; left unchanged.
        label_fraction: share of the patients that have a label, in (0, 1]; 1 keeps all.
        seed: chooses the patients.

    Returns:
        New entries in the same order; `Rows` of `Rows`.
    """
    require(
        0 < label_fraction <= 1,
        f"keep_labels: label_fraction must lie in (0, 1], got {label_fraction}.",
    )
    label = numbers(data, "label").astype(np.int64)
    kept = _kept(data, label, label_fraction, seed)
    if isinstance(data, Rows):
        return data.with_values(label=np.where(kept, label, -1))
    return [
        dict(entry) if is_kept else {**entry, "label": -1} for entry, is_kept in zip(data, kept)
    ]


def labelled_only(
    data: Sequence[dict[str, Any]], label_fraction: float, seed: int
) -> Sequence[dict[str, Any]]:
    """Keep the entries that `keep_labels` leaves a label, and no other; arguments as there."""
    kept = keep_labels(data, label_fraction, seed)
    if isinstance(kept, Rows):
        return kept.take(np.flatnonzero(numbers(kept, "label") >= 0))
    return [entry for entry in kept if int(entry["label"]) >= 0]


def _kept(
    data: Sequence[dict[str, Any]], label: npt.NDArray[np.int64], label_fraction: float, seed: int
) -> npt.NDArray[np.bool_]:
    """``(N,)`` whose patient keeps labels."""
    patient, names = coded(data, "patient")
    labelled = np.unique(patient[label >= 0])
    found = (seeded_digest(names[number], seed) for number in labelled)
    digests = np.fromiter(found, "S32", len(labelled))
    order = labelled[np.argsort(digests, kind="stable")]
    count = max(1, round(label_fraction * len(order)))
    rank = np.full(len(names), len(order), np.int64)
    rank[order] = np.arange(len(order))
    kept = np.zeros(len(names), np.bool_)
    kept[order[:count]] = True
    covered = set(np.unique(label[(label >= 0) & kept[patient]]).tolist())
    later = np.flatnonzero((label >= 0) & ~kept[patient])
    classes: dict[int, set[int]] = {}
    for row in later[~np.isin(label[later], list(covered))]:
        classes.setdefault(int(rank[patient[row]]), set()).add(int(label[row]))
    for place in sorted(classes):
        if classes[place] - covered:
            kept[order[place]] = True
            covered |= set(label[(patient == order[place]) & (label >= 0)].tolist())
    return kept[patient]
