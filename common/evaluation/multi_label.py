"""AUC of several findings that may occur together, a linear probe each (CheXpert; slide 75).

``evaluate.json`` runs this on an encoder that saw no label. For each finding a logistic regression
is fitted on the training images on which the finding counts, and scored on the test images on which
it does; the mean over the findings is what runs are compared by. Written are ``evaluation.json``,
``scores.npz`` and ``model.pt``, whose head holds the probes, one output for each finding.

Differs from the paper: it releases no code for these figures; the probe here is fitted to
convergence on features of untransformed images, C = 1.
"""

from collections.abc import Sequence
from typing import Any, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from torch import Tensor

from common.checks import require
from common.deploy.embedding import Embedded
from common.evaluation.cases import patients
from common.evaluation.decision import Decided, Scored, call_rule, decide, probability_of
from common.evaluation.run_evaluation import Batches, Evaluated, RunArguments, RunEvaluation, pixels
from common.metrics.linear_probe import as_layer, fit_probe
from common.metrics.patient_bootstrap import LEVEL, auc, patient_draws, percentiles
from common.report.kinds.multi_label import KIND

__all__ = ["MultiLabelEvaluation"]

_METHOD = "bootstrap of the AUC, test patients drawn with replacement, the probes kept"

Floats = NDArray[np.floating[Any]]


class MultiLabelEvaluation(RunEvaluation):
    """AUC of each finding for every snapshot of a run; see the module's docstring.

    A finding without both classes in the training or the test part has no AUC and no part in the
    mean; there must be one that has.

    Args:
        training: the training images: "image" and the columns of `findings`, 1, 0, or -1 where the
            finding does not count (uncertain, not mentioned).
        batches: the test images, likewise; "patient", where given, is what intervals draw.
        findings: names of the columns, in the order of the network's outputs.
        validation: other images, likewise, on which thresholds are chosen; None for none.
        run: see `common.evaluation.run_evaluation.RunArguments`; the network has one output for
            each finding.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        batches: Batches,
        findings: Sequence[str],
        validation: Batches | None = None,
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.training = training
        self.batches = batches
        self.findings = list(findings)
        self.validation = validation

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        train, test = self.untrained(self.training, self.batches)
        self._check(train, test)
        baselines = {
            "pixels": self._areas(
                self._probed(train, pixels(self.training), pixels(self.batches))[1], test
            ),
            "untrained": self._areas(self._probed(train, train.h, test.h)[1], test),
        }
        epochs = []
        for epoch in self.course():
            train, test = self.embed(self.training), self.embed(self.batches)
            probes, scores = self._probed(train, train.h, test.h)
            epochs.append({"epoch": epoch, **self._areas(scores, test)})
        result = {
            "findings": self.findings,
            "counts": self._counts(train, test),
            **self._areas(scores, test),
            "interval": self._intervals(scores, test),
            "epochs": epochs,
            "baselines": baselines,
        }
        result["decisions"], cases = self._decisions(probes, scores, test)
        columns = {name: _known(test, name)[1] for name in self.findings}
        kept = {f"score_{name}": values for name, values in scores.items()}
        return Evaluated(
            result,
            {"scores.npz": {**columns, **kept, "patient": test.patient}} | cases,
            _told(result),
            self._layer(probes, train.h.shape[1]),
            self.findings,
            call_rule(result["decisions"], self.findings, "none"),
        )

    def _decisions(
        self, probes: dict[str, Pipeline], scores: dict[str, Floats], test: Embedded
    ) -> Decided:
        """What thresholds do that are chosen on the validation images, a finding each."""
        if self.validation is None:
            return [], {}
        other = self.embed(self.validation)
        patient = patients(self.manifest, "validation", other.patient)
        names = [name for name in scores if name in other.columns]
        chosen = [
            Scored(
                _known(other, name)[1],
                probability_of(probes[name].decision_function(other.h.astype(np.float64))),
                patient,
            )
            for name in names
        ]
        scored = [
            Scored(_known(test, name)[1], probability_of(scores[name]), test.patient)
            for name in names
        ]
        return decide(names, chosen, scored, self.batches, self.manifest)

    def _check(self, train: Embedded, test: Embedded) -> None:
        for part in (train, test):
            missing = [name for name in self.findings if name not in part.columns]
            require(
                not missing,
                f"MultiLabelEvaluation: the batches must hold {', '.join(missing)}, got "
                f"{', '.join(sorted(part.columns))}. Select these columns, or name others.",
            )
        require(
            any(_both(train, name) and _both(test, name) for name in self.findings),
            "MultiLabelEvaluation: at least one finding must be present and absent in the training "
            "and in the test part, got none. Prepare larger parts.",
        )

    def _probed(
        self, train: Embedded, features: Floats, test_features: Floats
    ) -> tuple[dict[str, Pipeline], dict[str, Floats]]:
        """A probe of each finding that can be fitted, and its decision values on all test rows."""
        probes, scores = {}, {}
        for name in self.findings:
            known, label = _known(train, name)
            if _both(train, name):
                probes[name] = fit_probe(features[known], label[known])
                scores[name] = probes[name].decision_function(test_features.astype(np.float64))
        return probes, scores

    def _areas(self, scores: dict[str, Floats], test: Embedded) -> dict[str, Any]:
        areas: dict[str, float | None] = dict.fromkeys(self.findings)
        for name, values in scores.items():
            known, label = _known(test, name)
            if _both(test, name):
                areas[name] = auc(label[known], values[known])
        finite = [area for area in areas.values() if area is not None]
        return {"auc_mean": float(np.mean(finite)), "auc": areas}

    def _intervals(self, scores: dict[str, Floats], test: Embedded) -> dict[str, Any]:
        draws = {
            name: patient_draws(_Area(*_known(test, name), values), test.patient)
            for name, values in scores.items()
            if _both(test, name)
        }
        mean = np.mean(list(draws.values()), axis=0)
        ends = {name: list(percentiles(values)) for name, values in draws.items()}
        return {"level": LEVEL, "method": _METHOD, "auc_mean": list(percentiles(mean)), "auc": ends}

    def _counts(self, train: Embedded, test: Embedded) -> dict[str, Any]:
        counts: dict[str, Any] = {
            "training_images": len(train.h),
            "test_images": len(test.h),
            "test_patients": len(np.unique(test.patient)),
        }
        for part, images in (("training", train), ("test", test)):
            for name in self.findings:
                known, label = _known(images, name)
                share = f"{int(label[known].sum())} of {int(known.sum())}"
                counts.setdefault(f"{part}_present", {})[name] = share
        return counts

    def _layer(self, probes: dict[str, Pipeline], features: int) -> tuple[Tensor, Tensor]:
        """All probes as one; the output of a finding without a probe is 0 for every image."""
        nothing = torch.zeros(1, features), torch.zeros(1)
        layers = [as_layer(probes[name]) if name in probes else nothing for name in self.findings]
        return torch.cat([w for w, _ in layers]), torch.cat([b for _, b in layers])


def _told(result: dict[str, Any]) -> str:
    low, high = result["interval"]["auc_mean"]
    each = ", ".join(f"{n} {v:.3f}" for n, v in result["auc"].items() if v is not None)
    return (
        f"mean AUC {result['auc_mean']:.3f} (95 % interval over patients {low:.3f} to {high:.3f}; "
        f"{each})"
    )


class _Area:
    """AUC of one finding on drawn rows; NaN where they have one class only."""

    def __init__(self, known: NDArray[np.bool_], label: NDArray[Any], scores: Floats) -> None:
        self.known, self.label, self.scores = known, label, scores

    def __call__(self, rows: NDArray[np.intp]) -> float:
        rows = rows[self.known[rows]]
        label = self.label[rows]
        if label.size == 0 or label.min() == label.max():
            return float("nan")
        return auc(label, self.scores[rows])


def _known(images: Embedded, name: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Where a finding counts, and its labels (-1 elsewhere)."""
    values = np.nan_to_num(np.asarray(images.columns[name], dtype=np.float64), nan=-1)
    label = values.astype(np.int64)
    return label >= 0, label


def _both(images: Embedded, name: str) -> bool:
    known, label = _known(images, name)
    return len(np.unique(label[known])) == 2
