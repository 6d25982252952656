"""Linear evaluation of frozen features: Ruppli et al. 2022, section 2.4 and the caption of Table 2.

"One linear layer is added, after removing the projection head, and trained with a test set of
labeled data, not used in the previous training phase": three hold-out sets, logistic regression
fitted on two of them, AUC on the third, in turn.

Differs from the paper: its optimiser and regularisation of the linear layer are not stated; ours is
scikit-learn's logistic regression (L2, C = 1) on standardised features.
"""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import LinAlgWarning
from scipy.sparse import issparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from common.checks import require
from common.metrics.probe_metric import ProbeMetric

__all__ = [
    "Probe",
    "ProbeAUC",
    "ProbeAccuracy",
    "as_layer",
    "fit_head",
    "fit_probe",
    "fit_tuned_probe",
    "linear_probe",
    "transferred_probe",
]

STRENGTHS = tuple(10.0**power for power in range(9))
_STEPS = 2000  # most steps of a fit
_CHOOSING = 10_000  # most images that C is chosen on
_NEWTON = {"solver": "newton-cholesky", "tol": 1e-6, "max_iter": 5000}
# with tol 1e-4 a fit that starts from another C's weights may stop at once
_SPARSE = {"tol": 1e-5, "max_iter": 5000}


class Probe(NamedTuple):
    """What `linear_probe` found.

    Attributes:
        auc: area under the ROC curve of each held-out fold, in the order of the fold numbers.
        scores: ``(N,)`` decision values of every image, each by the model that did not see it.
    """

    auc: list[float]
    scores: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over the folds."""
        return float(np.mean(self.auc))

    @property
    def std(self) -> float:
        """Standard deviation over the folds (divided by their number)."""
        return float(np.std(self.auc))


def linear_probe(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    fold: NDArray[np.integer[Any]],
) -> Probe:
    """Fit logistic regression on all folds but one and score the one left out, in turn.

    Args:
        features: ``(N, F)`` frozen representations.
        label: ``(N,)``, 0 or 1.
        fold: ``(N,)`` number of the hold-out set of each image; at least two sets. Patients must
            not be shared between sets.

    Returns:
        The AUC of each fold and the scores of all images.

    Raises:
        InputError: fewer than two folds, or a fold with one class only.
    """
    numbers = np.unique(fold)
    require(
        len(numbers) >= 2,
        f"linear_probe: fold must hold at least 2 hold-out sets, got {len(numbers)}. "
        "Prepare the data with a test part in three folds.",
    )
    require(
        all(set(np.unique(label[fold == number])) == {0, 1} for number in numbers),
        "linear_probe: label must hold both classes, 0 and 1, in every fold. "
        "Prepare larger hold-out sets.",
    )
    scores = np.zeros(len(label))
    for number in numbers:
        held_out = fold == number
        model = fit_probe(features[~held_out], label[~held_out])
        scores[held_out] = model.decision_function(features[held_out])
    auc = [float(roc_auc_score(label[fold == n], scores[fold == n])) for n in numbers]
    return Probe(auc, scores)


def transferred_probe(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    fold: NDArray[np.integer[Any]],
    fitted_on: tuple[NDArray[np.floating[Any]], NDArray[np.integer[Any]]],
) -> Probe:
    """Fit logistic regression on other images and score all folds with it.

    Args:
        features: ``(N, F)``, as in `linear_probe`.
        label: ``(N,)``, 0 or 1.
        fold: ``(N,)``.
        fitted_on: features ``(M, F)`` and labels ``(M,)`` of the other images; -1 is left out.

    Raises:
        InputError: the other images do not show both classes.
    """
    other, other_label = fitted_on
    known = other_label >= 0
    require(
        set(np.unique(other_label[known])) == {0, 1},
        "transferred_probe: fitted_on must hold both classes, 0 and 1. Label more images.",
    )
    scores = fit_probe(other[known], other_label[known]).decision_function(features)
    numbers = np.unique(fold)
    auc = [float(roc_auc_score(label[fold == n], scores[fold == n])) for n in numbers]
    return Probe(auc, scores)


def fit_head(
    features: NDArray[np.floating[Any]], label: NDArray[np.integer[Any]]
) -> tuple[Tensor, Tensor]:
    """Fit the probe on all images and return it as the linear layer of a classifier.

    Args:
        features: ``(N, F)``.
        label: ``(N,)``, 0 or 1.

    Returns:
        Weight ``(1, F)`` and bias ``(1,)``, float32, for the features as they are.
    """
    return as_layer(fit_probe(features, label))


def as_layer(probe: Pipeline, outputs: int = 1) -> tuple[Tensor, Tensor]:
    """Return a fitted probe as a linear layer on the features as they are.

    Args:
        probe: of `fit_probe`; its standardisation is folded in.
        outputs: wanted; 2 for a probe of two classes gives the first class the logit 0.

    Returns:
        Weight ``(outputs, F)`` and bias ``(outputs,)``, float32; one output for each class of the
        probe, or one for two classes.
    """
    regression = probe[-1]
    weight, bias = regression.coef_, regression.intercept_
    if isinstance(probe[0], StandardScaler):
        weight = weight / probe[0].scale_
        bias = bias - weight @ probe[0].mean_
    if len(weight) == 1 and outputs == 2:
        weight = np.concatenate([0 * weight, weight])
        bias = np.concatenate([0 * bias, bias])
    return torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32)


def fit_probe(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    standardized: bool = True,
) -> Pipeline:
    """Fit logistic regression (L2, C = 1) on standardised features; two classes or more.

    Args:
        features: ``(N, F)``.
        label: ``(N,)``.
        standardized: False reads the features as they are. Features that hardly differ between
            images then count for little, as they should where a collapse is to be seen.
    """
    steps = [StandardScaler()] if standardized else []
    model = make_pipeline(*steps, LogisticRegression(max_iter=_STEPS))
    return model.fit(features.astype(np.float64), label)


def fit_tuned_probe(
    features: NDArray[np.floating[Any]],
    label: NDArray[np.integer[Any]],
    patient: NDArray[Any],
    strengths: Sequence[float] = STRENGTHS,
) -> Pipeline:
    """Fit logistic regression on features as they are, C chosen on a tenth of the patients.

    Features have no natural scale, so that C = 1 can be far too strong a penalty for one encoder
    and none for another: the usual values of C reach from there to next to no penalty on features
    that have all but collapsed. The last tenth of the patients, in the order of the rows, is held
    out, the C with the highest accuracy there is taken (of equal ones the first), and the
    regression is fitted once more, on all. While C is chosen it is fitted on 10,000 images at most,
    the first. Dense features are fitted by Newton's method, which needs a few steps at any C and
    any scale, but a matrix of (F classes)^2 numbers.

    Args:
        features: ``(N, F)``, dense or sparse.
        label: ``(N,)``.
        patient: ``(N,)``, names or numbers, at least 2 different ones.
        strengths: values of C to try.

    Raises:
        InputError: all images are of one patient.
    """
    first, number = np.unique(patient, return_index=True, return_inverse=True)[1:]
    require(
        len(first) >= 2,
        f"fit_tuned_probe: patient must hold at least 2 patients, got {len(first)}. Give more "
        "images.",
    )
    held_out = first.argsort().argsort()[number] >= len(first) - max(1, len(first) // 10)
    h, kept = features.astype(np.float64), np.flatnonzero(~held_out)[:_CHOOSING]
    model = LogisticRegression(warm_start=True, **(_SPARSE if issparse(features) else _NEWTON))
    with warnings.catch_warnings():  # where rounding stops Newton's method lbfgs goes on
        warnings.filterwarnings("ignore", category=LinAlgWarning)
        warnings.filterwarnings("ignore", "Line search of Newton solver", ConvergenceWarning)
        scores = [
            model.set_params(C=strength)
            .fit(h[kept], label[kept])
            .score(h[held_out], label[held_out])
            for strength in strengths
        ]
        best = strengths[int(np.argmax(scores))]
        return make_pipeline(model.set_params(C=best).fit(h, label))


class ProbeAUC(ProbeMetric):
    """`linear_probe` on three contiguous thirds of the data, as a metric of an Ignite evaluator.

    For watching a training: the probe's AUC on the validation part. Contiguous thirds keep patients
    together because a manifest lists images by patient. Images without a label (-1) are left out.

    Args:
        output_transform: ``engine.state.output -> (h (B, F), label (B,))``.
    """

    def compute(self) -> float:
        """Return the mean AUC; NaN where a third holds one class only."""
        h, label, fold = self._thirds()
        if any(len(np.unique(label[fold == number])) < 2 for number in range(3)):
            return float("nan")
        return linear_probe(h, label, fold).mean

    def _thirds(self) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """Features, labels and thirds of the labelled images."""
        h, label = self.kept()
        h, label = h[label >= 0], label[label >= 0].astype(np.int64)
        return h, label, np.arange(len(label)) * 3 // max(len(label), 1)


class ProbeAccuracy(ProbeAUC):
    """The same for any number of classes: the share of images whose class was told.

    Args:
        output_transform: ``engine.state.output -> (h (B, F), label (B,))``.
    """

    def compute(self) -> float:
        """Return the accuracy over all images; NaN where two thirds hold one class only."""
        h, label, fold = self._thirds()
        if any(len(np.unique(label[fold != number])) < 2 for number in range(3)):
            return float("nan")
        right = 0
        for number in range(3):
            held_out = fold == number
            probe = fit_probe(h[~held_out], label[~held_out])
            right += int((probe.predict(h[held_out].astype(np.float64)) == label[held_out]).sum())
        return right / len(label)
