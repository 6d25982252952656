"""The evaluation of one training run: linear evaluation at several epochs, baselines, audit.

``evaluate.json`` runs this. It reads the snapshots a training left in its run folder and writes, in
the same folder, ``evaluation.json``, ``scores.npz`` and ``gallery.npz`` (the report's input), and
the deployable ``model.pt``: the last encoder with the linear head fitted on all hold-out sets.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.checks import InputError
from common.deploy.embedding import Embedded
from common.evaluation.audit import audit_transforms
from common.evaluation.cases import patients
from common.evaluation.decision import Decided, Scored, decide, probability_of
from common.evaluation.run_evaluation import Batches, Evaluated, RunArguments, RunEvaluation, pixels
from common.metrics.linear_probe import Probe, fit_head, linear_probe
from common.metrics.patient_bootstrap import LEVEL, patient_interval
from common.report.kinds.linear import KIND
from common.transforms import Composition

__all__ = ["LinearEvaluation"]

_METHOD = "bootstrap of the mean AUC over the three folds, patients drawn with replacement"


class LinearEvaluation(RunEvaluation):
    """Ruppli et al. 2022, section 2.4, on every snapshot of a run; see the module's docstring.

    Args:
        batches: the test part: "image", "label", "fold", "patient", optionally "mask" and "name".
        validation: images of other patients, on which the threshold is chosen; None for none.
        run: see `common.evaluation.run_evaluation.RunArguments`.
    """

    kind = KIND

    def __init__(
        self, batches: Batches, validation: Batches | None = None, **run: Unpack[RunArguments]
    ) -> None:
        super().__init__(**run)
        self.batches = batches
        self.validation = validation

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
            probe = linear_probe(test.h, test.label, test.fold)
            epochs.append({"epoch": epoch, **_figures(probe), "auc_folds": probe.auc})
        summary, gallery = audit_transforms(
            self.network.policy, transform, self.batches, self.device
        )
        columns = {"label": test.label, "fold": test.fold, "patient": test.patient}
        figures = self._result(test, probe, epochs)
        low, high = figures["interval"]["low"], figures["interval"]["high"]
        head = fit_head(test.h, test.label)
        decisions, cases = self._decision(test, probe, head)
        return Evaluated(
            figures | {"baselines": baselines, "transform": summary, "decisions": decisions},
            {"gallery.npz": gallery, "scores.npz": {**columns, "score": probe.scores}} | cases,
            f"AUC {probe.mean:.3f} (95 % interval over patients {low:.3f} to {high:.3f})",
            head,
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
        name = self.classes[1] if len(self.classes) == 2 else "the finding"
        return decide([name], [chosen], [test], self.batches, self.manifest)

    def _baselines(self) -> dict[str, dict[str, float]]:
        [test] = self.untrained(self.batches)
        baselines: dict[str, NDArray[np.float32]] = {
            "pixels": pixels(self.batches),
            "untrained": test.h,
        }
        return {
            name: _figures(linear_probe(features, test.label, test.fold))
            for name, features in baselines.items()
        }

    def _result(self, test: Embedded, probe: Probe, epochs: list[dict[str, Any]]) -> dict[str, Any]:
        low, high = patient_interval(test.label, probe.scores, test.fold, test.patient)
        return {
            "counts": {
                "test_images": len(test.label),
                "test_patients": len(np.unique(test.patient)),
                "test_positive": int(test.label.sum()),
            },
            "epochs": epochs,
            **_figures(probe),
            "interval": {"level": LEVEL, "low": low, "high": high, "method": _METHOD},
        }


def _figures(probe: Probe) -> dict[str, float]:
    return {"auc_mean": probe.mean, "auc_std": probe.std}
