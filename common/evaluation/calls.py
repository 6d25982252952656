"""Whether the class that a model names can be trusted: which is taken for which, and how surely."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from common.evaluation.cases import cases, subgroups
from common.evaluation.run_evaluation import Batches
from common.metrics.decision import calibration_error, reliability
from common.metrics.patient_bootstrap import estimates

__all__ = ["Called", "call", "calls"]

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Called:
    """N images: the class of each, the probabilities of all classes, whose they are.

    Attributes:
        label: ``(N,)``.
        probability: ``(N, K)``.
        patient: ``(N,)``.
    """

    label: NDArray[np.integer[Any]]
    probability: Floats
    patient: NDArray[np.str_]

    @property
    def called(self) -> NDArray[np.int64]:
        """``(N,)`` the most probable class."""
        return np.asarray(self.probability.argmax(axis=1), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.int64]:
        """``(N,)`` 1 where that is the class."""
        return np.asarray(self.called == self.label, dtype=np.int64)

    @property
    def sure(self) -> NDArray[np.float64]:
        """``(N,)`` its probability."""
        return np.asarray(self.probability.max(axis=1), dtype=np.float64)


def calls(
    test: Called,
    classes: Sequence[str],
    manifest: Mapping[str, Any] | None = None,
    part: str = "test",
) -> dict[str, Any]:
    """Return what `common.report.calls.Calls` holds.

    Args:
        test: the images, in the order of the manifest's part.
        classes: names by number; numbers are used where there are not as many as classes.
        manifest: whose columns make the subgroups.
        part: of the manifest.
    """
    count = test.probability.shape[1]
    right, sure, patient = test.right, test.sure, test.patient
    return {
        "classes": list(classes) if len(classes) == count else [str(k) for k in range(count)],
        "images": len(right),
        "patients": len(np.unique(patient)),
        **estimates(
            ("accuracy", "calibration_error"),
            lambda rows: np.array([right[rows].mean(), calibration_error(right[rows], sure[rows])]),
            patient,
        ),
        "confusion": confusion_matrix(test.label, test.called, labels=range(count)).tolist(),
        "reliability": [each._asdict() for each in reliability(right, sure)],
        "subgroups": list(_groups(right, patient, manifest, part)),
    }


def call(
    test: Called,
    batches: Batches,
    classes: Sequence[str],
    manifest: Mapping[str, Any] | None = None,
    part: str = "test",
) -> tuple[dict[str, Any], dict[str, dict[str, NDArray[Any]]]]:
    """Return the `calls` and the archive of cases, the surest errors as pictures.

    Args:
        test: see `calls`.
        batches: the images, in the same order.
        classes: see `calls`.
        manifest: see `calls`.
        part: see `calls`.
    """
    error = np.where(test.right == 0, test.sure, -1.0)
    kept = cases(test.patient, test.label, test.called, error, batches)
    return calls(test, classes, manifest, part), {"cases.npz": kept}


def _groups(
    right: NDArray[np.int64],
    patient: NDArray[np.str_],
    manifest: Mapping[str, Any] | None,
    part: str,
) -> Iterator[dict[str, Any]]:
    for column, name, members in subgroups(manifest, part, len(right)):
        here, whose = right[members], patient[members]
        counts = {"images": len(here), "patients": len(np.unique(whose))}
        yield {"column": column, "name": name, **counts, **_accuracy(here, whose)}


def _accuracy(right: NDArray[Any], patient: NDArray[np.str_]) -> dict[str, dict[str, float | None]]:
    return estimates(("accuracy",), lambda rows: right[rows].mean(keepdims=True), patient)
