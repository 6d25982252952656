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

from common.deploy import CallRule, Threshold
from common.evaluation.cases import cases, subgroups
from common.evaluation.run_evaluation import Batches
from common.metrics.decision import CALLS, call_scores, choose_threshold, curves, reliability
from common.metrics.patient_bootstrap import estimates

__all__ = ["Decided", "Scored", "call_rule", "decide", "decision", "probability_of"]

OF_GROUPS = ("auc", "sensitivity", "specificity")

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
        "figures": _estimates(scored, threshold, draws=1000),
        "confusion": confusion_matrix(scored.label, called.astype(int), labels=[0, 1]).tolist(),
        "roc": roc,
        "precision_recall": precision,
        "reliability": [each._asdict() for each in reliability(scored.label, scored.probability)],
        "patients": _of_groups(_by_patient(scored), threshold),
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
    wrong = (scored.probability > first["threshold"]) != (scored.label == 1)
    size = np.abs(scored.probability - first["threshold"])
    error = np.where(wrong & (scored.label >= 0), size, -1.0)
    kept = cases(scored.patient, scored.label, scored.probability, error, batches)
    return [decision_made for _, decision_made in made], {"cases.npz": kept}


def call_rule(
    decisions: Sequence[Mapping[str, Any]], outputs: Sequence[str], otherwise: str
) -> CallRule | None:
    """Return how predictions are called by the thresholds of `decide`; None where it found none.

    Args:
        decisions: as `decide` returns them.
        outputs: findings by output of the network.
        otherwise: what is called where no finding is.
    """
    chosen = {d["finding"]: Threshold(d["threshold"], **d["chosen_on"]) for d in decisions}
    return CallRule(otherwise, [chosen.get(name) for name in outputs]) if chosen else None


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


def _estimates(
    scored: Scored, threshold: float, draws: int = 500
) -> dict[str, dict[str, float | None]]:
    return estimates(
        CALLS, lambda rows: scored[rows].figures(threshold), scored.patient, draws=draws
    )


def _of_groups(scored: Scored, threshold: float) -> dict[str, dict[str, float | None]]:
    figures = _estimates(scored, threshold)
    return {name: figures[name] for name in OF_GROUPS}


def _groups(
    test: Scored, threshold: float, manifest: Mapping[str, Any] | None
) -> Iterator[dict[str, Any]]:
    for column, name, members in subgroups(manifest, "test", len(test.label)):
        here = test[members].known
        if len(here.label):
            figures = _of_groups(here, threshold)
            yield {"column": column, "name": name, **_counted(here), "figures": figures}
