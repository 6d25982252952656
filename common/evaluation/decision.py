"""Whether a finding's probability can be trusted, and what a threshold on it does.

The threshold is chosen on validation images and kept; every figure is of the test images, its
interval of their patients.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix

from common.evaluation.cases import WORST, subgroups, worst_pictures
from common.evaluation.run_evaluation import Batches
from common.metrics.decision import CALLS, call_scores, choose_threshold, curves, reliability
from common.metrics.patient_bootstrap import patient_samples, percentiles

__all__ = ["Decided", "Scored", "decide", "decision", "probability_of"]

OF_GROUPS = ("auc", "sensitivity", "specificity")
_DRAWS = 500  # bootstrap samples of a subgroup

Floats = NDArray[np.floating[Any]]
Decided = tuple[list[dict[str, Any]], dict[str, dict[str, NDArray[Any]]]]


@dataclass(frozen=True)
class Scored:
    """N images, who they are of, whether they show the finding, how probable it was said to be.

    Attributes:
        label: ``(N,)``, 0 or 1; -1 = not known, left out.
        probability: ``(N,)`` in [0, 1].
        patient: ``(N,)``.
    """

    label: NDArray[np.integer[Any]]
    probability: Floats
    patient: NDArray[np.str_]

    def __getitem__(self, rows: NDArray[Any]) -> "Scored":
        return Scored(self.label[rows], self.probability[rows], self.patient[rows])

    @property
    def known(self) -> "Scored":
        """Those of known label."""
        return self[self.label >= 0]

    @property
    def has_both(self) -> bool:
        """Whether some show the finding and some do not."""
        return set(np.unique(self.known.label).tolist()) == {0, 1}

    def figures(self, threshold: float) -> NDArray[np.float64]:
        """Return the figures `CALLS`."""
        return call_scores(self.label, self.probability, threshold)


def probability_of(scores: Floats) -> NDArray[np.float64]:
    """Return the probabilities of decision values (logits)."""
    return np.asarray(1 / (1 + np.exp(-np.clip(scores, -50, 50).astype(np.float64))))


def decision(
    finding: str,
    validation: Scored,
    test: Scored,
    manifest: Mapping[str, Any] | None = None,
) -> dict[str, Any] | None:
    """Return what `common.report.called.Decision` holds, or None where a class is missing.

    Args:
        finding: its name.
        validation: what the threshold is chosen on.
        test: what the figures are of, in the order of the manifest's test part.
        manifest: whose columns make the subgroups.
    """
    if not (validation.has_both and test.has_both):
        return None
    chosen, scored = validation.known, test.known
    threshold = choose_threshold(chosen.label, chosen.probability)
    called = scored.probability > threshold
    roc, precision = curves(scored.label, scored.probability)
    return {
        "finding": finding,
        "threshold": threshold,
        "chosen_on": _counted(chosen),
        "scored_on": _counted(scored),
        "figures": _with_ends(scored, threshold, CALLS, 1000),
        "confusion": confusion_matrix(scored.label, called.astype(int), labels=[0, 1]).tolist(),
        "roc": roc,
        "precision_recall": precision,
        "reliability": [each._asdict() for each in reliability(scored.label, scored.probability)],
        "patients": _with_ends(_by_patient(scored), threshold, OF_GROUPS, _DRAWS),
        "subgroups": list(_groups(test, threshold, manifest)),
    }


def decide(
    findings: Sequence[str],
    validation: Sequence[Scored],
    test: Sequence[Scored],
    batches: Batches,
    manifest: Mapping[str, Any] | None,
) -> Decided:
    """Return the `decision` of each finding that has both classes, and the archive of cases.

    Args:
        findings: their names.
        validation: of each, what its threshold is chosen on.
        test: of each, what its figures are of.
        batches: the test images, in the same order.
        manifest: see `decision`.
    """
    every = [decision(*given, manifest) for given in zip(findings, validation, test)]
    made = [
        (scored, decision_made)
        for scored, decision_made in zip(test, every)
        if decision_made is not None
    ]
    if not made:
        return [], {}
    scored, first = made[0]
    cases = _cases(scored, first["threshold"], batches)
    return [decision_made for _, decision_made in made], {"cases.npz": cases}


def _cases(test: Scored, threshold: float, batches: Batches) -> dict[str, NDArray[Any]]:
    """Each image by its patient's number, and pictures of the worst errors."""
    wrong = (test.probability > threshold) != (test.label == 1)
    size = np.where(wrong & (test.label >= 0), np.abs(test.probability - threshold), -1.0)
    rows = [row for row in np.argsort(-size, kind="stable")[:WORST].tolist() if size[row] >= 0]
    return {
        "patient": test.patient,
        "label": test.label.astype(np.float64),
        "said": test.probability,
        "worst": np.array(rows, dtype=np.int64),
        "image": worst_pictures(batches, rows),
    }


def _counted(scored: Scored) -> dict[str, int]:
    return {
        "images": len(scored.label),
        "patients": len(np.unique(scored.patient)),
        "positive": int(scored.label.sum()),
    }


def _by_patient(scored: Scored) -> Scored:
    """Patients in place of images: any positive image counts; probabilities are averaged."""
    names, number = np.unique(scored.patient, return_inverse=True)
    count = np.bincount(number)
    label = (np.bincount(number, scored.label) > 0).astype(np.int64)
    return Scored(label, np.bincount(number, scored.probability) / count, names)


def _with_ends(
    scored: Scored, threshold: float, names: tuple[str, ...], draws: int
) -> dict[str, dict[str, float | None]]:
    """Each figure and the ends of its interval over patients; None where one cannot be computed."""
    kept = [CALLS.index(name) for name in names]
    drawn = np.array(
        [scored[rows].figures(threshold) for rows in patient_samples(scored.patient, draws=draws)]
    )
    values = scored.figures(threshold)
    figures: dict[str, dict[str, float | None]] = {}
    for name, column in zip(names, kept):
        known = np.isfinite(values[column])
        low, high = percentiles(drawn[:, column]) if known else (None, None)
        figures[name] = {
            "value": float(values[column]) if known else None,
            "low": low,
            "high": high,
        }
    return figures


def _groups(
    test: Scored, threshold: float, manifest: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    for column, name, members in subgroups(manifest, "test", len(test.label)):
        here = test[members].known
        if len(here.label):
            figures = _with_ends(here, threshold, OF_GROUPS, _DRAWS)
            yield {"column": column, "name": name, **_counted(here), "figures": figures}
