"""The evaluation of one training run: linear evaluation at several epochs, baselines, audit.

``evaluate.json`` runs this. It reads the snapshots a training left in its run folder and writes, in
the same folder, ``evaluation.json``, ``scores.npz`` and ``gallery.npz`` (the report's input), and
the deployable ``model.pt``: the last encoder with its linear head, fitted on all hold-out sets or
on the training images.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.checks import InputError, require
from common.deploy.embedding import Embedded
from common.evaluation.applied import audit_transforms
from common.evaluation.cases import patients
from common.evaluation.decision import Decided, Scored, call_rule, decide, probability_of
from common.evaluation.run_evaluation import Batches, Evaluated, RunArguments, RunEvaluation, pixels
from common.metrics.linear_probe import Probe, fit_head, linear_probe, transferred_probe
from common.metrics.patient_bootstrap import LEVEL, patient_interval
from common.report.kinds.linear import KIND
from common.transforms import Composition

__all__ = ["LinearEvaluation"]

Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]

_METHOD = "bootstrap of the mean AUC over the three folds of the test part, patients drawn"


class LinearEvaluation(RunEvaluation):
    """Ruppli et al. 2022, section 2.4, on every snapshot of a run; see the module's docstring.

    Args:
        batches: the test part: "image", "label", "fold", "patient", optionally "mask" and "name".
        validation: images of other patients, on which the threshold is chosen; None for none.
        training: the training images, -1 for those without a label.
        head_fitted_on: "folds" fits the linear classifier on two folds of the test part and scores
            the third, in turn, as the paper does; "training" fits it on `training` and scores the
            whole test part, which then serves nothing else, as an official test part should.
        run: see `common.evaluation.run_evaluation.RunArguments`.
    """

    kind = KIND

    def __init__(
        self,
        batches: Batches,
        validation: Batches | None = None,
        training: Batches | None = None,
        head_fitted_on: str = "folds",
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.batches = batches
        self.validation = validation
        require(
            head_fitted_on in ("folds", "training"),
            f"LinearEvaluation: head_fitted_on must be folds or training, got {head_fitted_on!r}.",
        )
        require(
            head_fitted_on == "folds" or training is not None,
            "LinearEvaluation: training must be given where the head is fitted on it.",
        )
        self.head_fitted_on = head_fitted_on
        self.fitted_on = training if head_fitted_on == "training" else None

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        transform = self.network.transform
        if not isinstance(transform, Composition):
            raise InputError(
                "LinearEvaluation: the method must transform images by a Composition, got "
                f"{type(transform).__name__}. Evaluate it with AccuracyEvaluation."
            )
        baselines = self._baselines()
        epochs = []
        for epoch in self.course():
            test = self.embed(self.batches)
            other = None if self.fitted_on is None else self.embed(self.fitted_on)
            probe = _probe(test, test.h, (other.h, other.label) if other else None)
            epochs.append({"epoch": epoch, **_figures(probe), "auc_folds": probe.auc})
        summary, gallery = audit_transforms(
            self.network.policy, transform, self.batches, self.device
        )
        columns = {"label": test.label, "fold": test.fold, "patient": test.patient}
        figures = self._result(test, probe, epochs)
        low, high = figures["interval"]["low"], figures["interval"]["high"]
        fitted = other or test
        head = fit_head(fitted.h[fitted.label >= 0], fitted.label[fitted.label >= 0])
        decisions, cases = self._decision(test, probe, head)
        return Evaluated(
            figures | {"baselines": baselines, "transform": summary, "decisions": decisions},
            {"gallery.npz": gallery, "scores.npz": {**columns, "score": probe.scores}} | cases,
            f"AUC {probe.mean:.3f} (95 % interval over patients {low:.3f} to {high:.3f})",
            head,
            call_rule=call_rule(decisions, self._names[1:], self._names[0]),
        )

    def _decision(self, embedded: Embedded, probe: Probe, head: tuple[Tensor, Tensor]) -> Decided:
        """The threshold of the deployed head, and what it does to images it was not fitted on."""
        if self.validation is None:
            return [], {}
        other = self.embed(self.validation)
        weight, bias = (part.double().numpy() for part in head)
        scores = other.h.astype(np.float64) @ weight[0] + bias[0]
        patient = patients(self.manifest, "validation", other.patient)
        chosen = Scored(other.label, probability_of(scores), patient)
        test = Scored(embedded.label, probability_of(probe.scores), embedded.patient)
        return decide(self._names[1:], [chosen], [test], self.batches, self.manifest)

    @property
    def _names(self) -> list[str]:
        """Of the images without and with the finding."""
        return self.classes if len(self.classes) == 2 else ["no finding", "the finding"]

    def _baselines(self) -> dict[str, dict[str, float]]:
        parts = [self.batches] if self.fitted_on is None else [self.batches, self.fitted_on]
        test, *rest = self.untrained(*parts)
        features = {"pixels": [pixels(part) for part in parts]}
        features["untrained"] = [part.h for part in (test, *rest)]
        return {
            name: _figures(_probe(test, each[0], (each[1], rest[0].label) if rest else None))
            for name, each in features.items()
        }

    def _result(self, test: Embedded, probe: Probe, epochs: list[dict[str, Any]]) -> dict[str, Any]:
        low, high = patient_interval(test.label, probe.scores, test.fold, test.patient)
        return {
            "head_fitted_on": self.head_fitted_on,
            "counts": {
                "test_images": len(test.label),
                "test_patients": len(np.unique(test.patient)),
                "test_positive": int(test.label.sum()),
            },
            "epochs": epochs,
            **_figures(probe),
            "interval": {"level": LEVEL, "low": low, "high": high, "method": _METHOD},
        }


def _probe(
    test: Embedded, features: NDArray[np.float32], fitted_on: Labelled | None = None
) -> Probe:
    if fitted_on is None:
        return linear_probe(features, test.label, test.fold)
    return transferred_probe(features, test.label, test.fold, fitted_on)


def _figures(probe: Probe) -> dict[str, float]:
    return {"auc_mean": probe.mean, "auc_std": probe.std}
