"""Accuracy of one training run, in all and on images whose bias speaks for or against their class.

``evaluate.json`` runs this on biased and on natural images. A bias attribute (a colour, a
background, a site) speaks for a class when it is the one most training images of that class have:
such images are bias-aligned, the others bias-conflicting. The head that was trained beside the
encoder decides, and a probe refitted on the frozen features stands beside it; where no head was
trained, the probe decides. Figures are of the last epoch, never of the best on the test set.

Pair distances before (the encoder without its training) and after show what FairKL is about: the
talk's slide 58. Written are ``evaluation.json``, ``scores.npz`` and ``model.pt``.
"""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.pipeline import Pipeline

from common.deploy.embedding import Embedded
from common.evaluation.calls import Called, call
from common.evaluation.run_evaluation import (
    Batches,
    Evaluated,
    RunArguments,
    RunEvaluation,
    pixels,
    raw_name,
)
from common.metrics.linear_probe import as_layer, fit_probe
from common.metrics.pair_distances import pair_distances
from common.metrics.patient_bootstrap import LEVEL, patient_draws, percentiles
from common.report.kinds.accuracy import KIND

__all__ = ["AccuracyEvaluation", "accuracy_result", "accuracy_shares", "shares_of_probe"]

_METHOD = "bootstrap of the test images (of their patients, where known), the network kept"
_EDGES = np.linspace(0.0, 2.0, 41)
_SIDE = 8  # of an image averaged down for the baseline

Integers = NDArray[np.int64]


class AccuracyEvaluation(RunEvaluation):
    """Accuracy of every snapshot of a run, and distances of pairs; see the module's docstring.

    Args:
        training: the training images: "image", "label" and, where there is one, "bias".
        batches: the images to score, likewise; "patient", where given, is what the interval draws.
        part: what those are, "test" or, while settings are chosen, "validation"; recorded.
        deployed_head: "trained" beside the encoder: it decides and is deployed; or "refitted": the
            probe.
        run: see `common.evaluation.run_evaluation.RunArguments`; the network has one output for
            each class, or one for two classes.
    """

    kind = KIND

    def __init__(
        self,
        training: Batches,
        batches: Batches,
        part: str = "test",
        deployed_head: str = "trained",
        **run: Unpack[RunArguments],
    ) -> None:
        super().__init__(**run)
        self.training = training
        self.batches = batches
        self.part = part
        self.uses_trained_head = self.means_trained(deployed_head)

    def evaluate(self) -> Evaluated:
        """Evaluate all snapshots."""
        train, test = self.untrained(self.training, self.batches)
        aligned = _aligned(train, test)
        distances = {} if aligned is None else {"before": _histograms(test)}
        baselines = self._baselines(train, test, aligned)
        epochs = []
        for epoch in self.course():
            test = self.embed(self.batches)
            epochs.append({"epoch": epoch, **accuracy_shares(_decided(test), test, aligned)})
        train = self.embed(self.training)
        predicted, called, head = self._read(train, test)
        if not self.uses_trained_head:
            figures = accuracy_shares(predicted["refitted"], test, aligned)
            epochs = [{"epoch": epoch, **figures}]
        if aligned is not None:
            distances["after"] = _histograms(test)
        found, cases = call(called, self.batches, self.classes, self.manifest, self.part)
        result = accuracy_result(predicted, train, test, aligned) | {
            "part": self.part,
            "epochs": epochs,
            "baselines": baselines,
            "distances": {"edges": _EDGES.tolist(), **distances} if distances else None,
            "calls": found,
        }
        arrays = {"scores.npz": _scores(predicted, test)} | cases
        return Evaluated(result, arrays, _told(result), head, call_rule=self.most_probable)

    def _read(self, train: Embedded, test: Embedded) -> tuple[dict[str, Integers], Called, Any]:
        """Classes by each head, those of the one that decides, and the probe if it is that."""
        probe = fit_probe(train.h, train.label)
        predicted = {"refitted": _predict(probe, test)}
        if self.uses_trained_head:
            predicted["trained"] = _decided(test)
            return predicted, Called(test.label, shares_of_head(test.logits), test.patient), None
        head = as_layer(probe, self.classifier.head.out_features)
        return predicted, Called(test.label, shares_of_probe(probe, test.h), test.patient), head

    def _baselines(
        self, train: Embedded, test: Embedded, aligned: NDArray[np.bool_] | None
    ) -> dict[str, Any]:
        small = Embedded(pixels(self.training, _SIDE), train.logits, train.columns)
        small_test = Embedded(pixels(self.batches, _SIDE), test.logits, test.columns)
        pairs = {raw_name(self.training): (small, small_test), "untrained": (train, test)}
        return {
            name: accuracy_shares(
                _predict(fit_probe(fitted_on.h, fitted_on.label), scored_on), scored_on, aligned
            )
            for name, (fitted_on, scored_on) in pairs.items()
        }


def _told(result: dict[str, Any]) -> str:
    low, high = result["interval"]["accuracy"]
    parts = "".join(
        f", {name} {result[f'accuracy_{name}']:.4f}"
        for name in ("aligned", "conflicting")
        if result.get(f"accuracy_{name}") is not None
    )
    return (
        f"accuracy {result['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}){parts}, "
        f"refitted probe {result['probe']['accuracy']:.4f}"
    )


def _aligned(train: Embedded, test: Embedded) -> NDArray[np.bool_] | None:
    """Whether each test image has its class's most frequent bias; None without a bias."""
    if "bias" not in test.columns:
        return None
    usual = {
        value: np.bincount(train.bias[(train.label == value) & (train.bias >= 0)]).argmax()
        for value in np.unique(train.label)
        if np.any((train.label == value) & (train.bias >= 0))
    }
    return np.array([usual.get(value, -1) == bias for value, bias in zip(test.label, test.bias)])


def _decided(images: Embedded) -> Integers:
    """Classes the head gives: the largest logit, or the sign of the only one."""
    if images.logits.shape[1] == 1:
        return np.asarray(images.logits[:, 0] > 0, dtype=np.int64)
    return np.asarray(images.logits.argmax(axis=1), dtype=np.int64)


def shares_of_head(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the probabilities ``(N, K)`` of a head's logits; one output is of the second class."""
    both = np.hstack([0 * logits, logits]) if logits.shape[1] == 1 else logits
    return np.asarray(softmax(both.astype(np.float64), axis=1))


def shares_of_probe(probe: Pipeline, h: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the probabilities ``(N, K)`` of a probe; 0 for classes that it was not shown."""
    said = np.zeros((len(h), int(probe.classes_.max()) + 1))
    said[:, probe.classes_] = probe.predict_proba(h.astype(np.float64))
    return said


def _predict(probe: Pipeline, images: Embedded) -> Integers:
    return np.asarray(probe.predict(images.h.astype(np.float64)), dtype=np.int64)


def accuracy_shares(
    predicted: Integers, test: Embedded, aligned: NDArray[np.bool_] | None = None
) -> dict[str, float | None]:
    """Return the share of right predictions: of all images, of the aligned, of the others.

    With a bias also "unbiased", the mean of the shares of every class and bias that occur together,
    however often: UNB of Bahng et al., Learning De-biased Representations with Biased
    Representations, ICML 2020 (the talk's slide 61).

    Args:
        predicted: ``(N,)`` classes.
        test: the images.
        aligned: ``(N,)``; None where there is no bias.
    """
    right = predicted == test.label
    shares: dict[str, float | None] = {"accuracy": float(right.mean())}
    if aligned is not None:
        for name, members in (("aligned", aligned), ("conflicting", ~aligned)):
            shares[f"accuracy_{name}"] = float(right[members].mean()) if members.any() else None
        shares["accuracy_unbiased"] = _mean_of_cells(right, test)
    return shares


def _mean_of_cells(right: NDArray[np.bool_], test: Embedded) -> float | None:
    """Mean over the cells of class and bias that images have; None where no bias is known."""
    known = test.bias >= 0
    if not known.any():
        return None
    cells = np.stack([test.label[known], test.bias[known]])
    _, cell = np.unique(cells, axis=1, return_inverse=True)
    return float(np.mean(np.bincount(cell.ravel(), right[known]) / np.bincount(cell.ravel())))


def _histograms(images: Embedded) -> dict[str, Any]:
    groups = pair_distances(images.h, images.label, images.bias)
    return {
        name: {
            "pairs": len(distances),
            "mean": float(distances.mean()) if len(distances) else None,
            "std": float(distances.std()) if len(distances) else None,
            "counts": np.histogram(distances, _EDGES)[0].tolist(),
        }
        for name, distances in groups.items()
    }


def accuracy_result(
    predicted: dict[str, Integers],
    train: Embedded,
    test: Embedded,
    aligned: NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    """Return what every evaluation of an accuracy has: figures, counts, interval.

    Args:
        predicted: ``(N,)`` classes by the head that gave them: "refitted", and "trained" where that
            decides.
        train: the images that were trained on.
        test: the images that were scored.
        aligned: ``(N,)`` of `test`; None where there is no bias.
    """
    head = "trained" if "trained" in predicted else "refitted"
    right = predicted[head] == test.label
    draws = patient_draws(lambda index: float(right[index].mean()), test.patient)
    counts = {
        "training_images": len(train.label),
        "test_images": len(test.label),
        "classes": len(np.unique(train.label)),
    }
    if aligned is not None:
        counts["test_aligned"] = int(aligned.sum())
        counts["test_conflicting"] = int((~aligned).sum())
    return {
        "deployed_head": head,
        "counts": counts,
        **accuracy_shares(predicted[head], test, aligned),
        "interval": {"level": LEVEL, "method": _METHOD, "accuracy": list(percentiles(draws))},
        "probe": accuracy_shares(predicted["refitted"], test, aligned),
    }


def _scores(predicted: dict[str, Integers], test: Embedded) -> dict[str, NDArray[Any]]:
    columns = {"label": test.label, "patient": test.patient}
    if "bias" in test.columns:
        columns["bias"] = test.bias
    return columns | {f"predicted_by_{name}_head": values for name, values in predicted.items()}
