"""Gaps between predicted and true age: how large, on which side, of whom."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.evaluation.cases import cases, subgroups
from common.evaluation.run_evaluation import Batches
from common.metrics.patient_bootstrap import estimates

__all__ = ["Aged", "gap_cases", "gaps"]

FIGURES = ("mae", "bias", "deviation", "slope")
BINS = 24

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Aged:
    """M subjects: their age and what was predicted (years; NaN = not known), who they are.

    Attributes:
        age: ``(M,)``.
        predicted: ``(M,)``.
        patient: ``(M,)``.
        internal: ``(M,)`` whether of a site that was trained on.
    """

    age: Floats
    predicted: Floats
    patient: NDArray[np.str_]
    internal: NDArray[np.bool_]

    def __getitem__(self, rows: NDArray[Any]) -> "Aged":
        return Aged(self.age[rows], self.predicted[rows], self.patient[rows], self.internal[rows])

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whose age is known."""
        return np.isfinite(self.age)

    def figures(self) -> NDArray[np.float64]:
        """Mean absolute gap, mean gap, its standard deviation, years of gap a year of age."""
        gap = self.predicted - self.age
        age = self.age - self.age.mean()
        spread = float((age**2).sum())
        slope = float((age * gap).sum()) / spread if spread > 0 else np.nan
        return np.array([np.abs(gap).mean(), gap.mean(), gap.std(), slope])


def gaps(subjects: Aged, manifest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what `common.report.gaps.Gaps` holds.

    Args:
        subjects: in the order of the manifest's test part.
        manifest: whose columns make the subgroups.
    """
    known = subjects[subjects.known]
    gap = known.predicted - known.age
    edges = np.linspace(gap.min(), gap.max() + 1e-9, BINS + 1)
    parts = {"internal": known[known.internal], "external": known[~known.internal]}
    return {
        **{name: _counted(part) | _with_ends(part) for name, part in parts.items()},
        "edges": edges.tolist(),
        "counts": {
            name: np.histogram(part.predicted - part.age, edges)[0].tolist()
            for name, part in parts.items()
        },
        "subgroups": list(_groups(subjects, manifest)),
    }


def gap_cases(subjects: Aged, batches: Batches) -> dict[str, NDArray[Any]]:
    """Return each subject by number, age and predicted age, and pictures of the largest gaps.

    Args:
        subjects: as `gaps` has them.
        batches: their images, in the same order.
    """
    gap = np.abs(subjects.predicted - subjects.age)
    error = np.where(subjects.known, gap, -1.0)
    return cases(subjects.patient, subjects.age, subjects.predicted, error, batches)


def _counted(part: Aged) -> dict[str, int]:
    return {"subjects": len(np.unique(part.patient)), "images": len(part.age)}


def _with_ends(part: Aged) -> dict[str, dict[str, float | None]]:
    """Each figure with the ends of its interval over subjects."""
    return estimates(FIGURES, lambda rows: part[rows].figures(), part.patient)


def _groups(subjects: Aged, manifest: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    for column, name, members in subgroups(manifest, "test", len(subjects.age)):
        here = subjects[members & subjects.known]
        if len(here.age):
            yield {"column": column, "name": name, **_counted(here), **_with_ends(here)}
