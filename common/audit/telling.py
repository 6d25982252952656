"""How well something can be told from features: a quick classifier, tested on other patients.

Linear discriminant analysis (scikit-learn's, covariance shrunk by Ledoit and Wolf, equal priors) on
at most 64 principal components, fitted on four fifths of the patients and tested on the rest, in
turn. It is fitted on views to be tested on views: what is measured is what views still tell, not
whether a classifier of images survives them. Intervals draw patients with replacement; the fits are
kept as they are.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import StratifiedGroupKFold

from common.metrics.patient_bootstrap import LEVEL, percentiles
from common.report.audit.findings import Estimate

__all__ = [
    "Target", "above_chance", "balanced", "best_estimate", "estimate", "kept_share", "recalls",
    "told",
]  # fmt: skip

COMPONENTS = 64
FOLDS = 5
DRAWS = 500

Views = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Target:
    """What is to be told, of the images for which it is known.

    Attributes:
        name: of the column.
        rows: ``(n,)`` numbers of those images.
        code: ``(n,)`` class of each, from 0.
        values: names of the classes.
        group: ``(n,)`` patient of each, from 0: hold-out sets and intervals are over these.
        fold: ``(n,)`` hold-out set of each.
    """

    name: str
    rows: NDArray[np.intp]
    code: NDArray[np.intp]
    values: tuple[str, ...]
    group: NDArray[np.intp]
    fold: NDArray[np.intp]

    @property
    def chance(self) -> float:
        """Balanced accuracy of guessing."""
        return 1 / len(self.values)

    @staticmethod
    def of(
        name: str,
        rows: NDArray[np.intp],
        code: NDArray[np.intp],
        values: Sequence[str],
        patient: NDArray[np.str_],
        seed: int = 0,
    ) -> "Target | None":
        """Return the target with its hold-out sets; None where a class has but one patient."""
        group = np.unique(patient, return_inverse=True)[1].astype(np.intp)
        of_class = [len(np.unique(group[code == number])) for number in range(len(values))]
        folds = min(FOLDS, *of_class, len(np.unique(group)))
        if len(values) < 2 or folds < 2:
            return None
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        fold = np.zeros(len(code), np.intp)
        for number, (_, held_out) in enumerate(splitter.split(code, code, group)):
            fold[held_out] = number
        return Target(name, rows, code, tuple(values), group, fold)


def told(views: Views, target: Target) -> NDArray[np.float64]:
    """Return the share of each image's views whose class is told right, ``(n,)``.

    Args:
        views: V arrays ``(N, F)``, features of one view of every image each.
        target: of the images, of which `Target.rows` are used.
    """
    stacked = np.concatenate([np.asarray(view[target.rows], np.float64) for view in views])
    features = _components(stacked)
    if features is None:  # all alike: one class is as good a guess as another
        return np.asarray(target.code == 0, np.float64)
    code, fold = np.tile(target.code, len(views)), np.tile(target.fold, len(views))
    right = np.zeros(len(code))
    for number in np.unique(fold):
        here = fold == number
        known = np.unique(code[~here])
        if len(known) < 2:
            right[here] = code[here] == known[0]
            continue
        model = LinearDiscriminantAnalysis(
            solver="lsqr", shrinkage="auto", priors=np.full(len(known), 1 / len(known))
        )
        with warnings.catch_warnings():  # of a class with one image: its spread is then left out
            warnings.filterwarnings("ignore", "Only one sample available")
            model.fit(features[~here], code[~here])
        right[here] = model.predict(features[here]) == code[here]
    return np.asarray(right.reshape(len(views), -1).mean(axis=0))


def _components(features: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Standardised features, or their first principal components where there are many."""
    spread = features.std(axis=0)
    varying = spread > 1e-8 * max(1.0, float(np.abs(features).max(initial=0.0)))
    if not varying.any():
        return None
    kept = features[:, varying]
    if kept.shape[1] > COMPONENTS:
        count = min(COMPONENTS, len(kept) - 1)
        kept = PCA(count, svd_solver="randomized", random_state=0).fit_transform(kept)
    scale = kept.std(axis=0)
    return np.asarray((kept - kept.mean(axis=0)) / np.where(scale > 0, scale, 1))


def recalls(
    right: NDArray[np.float64], target: Target, of: NDArray[np.intp] | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Return the share told right of each class, ``(1 + DRAWS, classes)``.

    Args:
        right: ``(n,)`` what `told` returned.
        target: of it.
        of: ``(n,)`` other groups than the target's classes, from 0, such as sites.
        seed: of the draws; the same for the same patients.

    Returns:
        First of all images, then of as many patients drawn with replacement; NaN in a draw without
        the class.
    """
    weights = patient_weights(int(target.group.max()) + 1, seed)
    code = target.code if of is None else of
    shape = (weights.shape[1], int(code.max()) + 1)
    cell = target.group * shape[1] + code
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    hits = np.bincount(cell, right, minlength=shape[0] * shape[1]).reshape(shape)
    with np.errstate(invalid="ignore"):
        return np.asarray((weights @ hits) / (weights @ count))


def patient_weights(patients: int, seed: int = 0) -> NDArray[np.float64]:
    """Return how often each patient is there, ``(1 + DRAWS, patients)``: once, then drawn."""
    drawn = np.random.default_rng(seed).multinomial(
        patients, np.full(patients, 1 / patients), size=DRAWS
    )
    return np.concatenate([np.ones((1, patients)), drawn]).astype(np.float64)


def balanced(recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the classes of each row."""
    return np.asarray(np.nanmean(recall, axis=1))


def estimate(figures: NDArray[np.float64]) -> Estimate:
    """Return a figure with its interval.

    Args:
        figures: ``(1 + DRAWS,)``: the figure, then that of each draw.
    """
    value, drawn = float(figures[0]), figures[1:][np.isfinite(figures[1:])]
    if not np.isfinite(value) or not len(drawn) or drawn.min() == drawn.max():
        return Estimate(value)
    return Estimate(value, *percentiles(drawn))


def best_estimate(figures: Sequence[NDArray[np.float64]]) -> Estimate:
    """Return the largest of K figures with an interval that allows for the choice among them.

    Each figure has the interval of level 1 - 0.05 / K (Bonferroni), so that all of them hold
    together; then the largest lies between the largest lower and the largest upper end.

    Args:
        figures: K arrays ``(1 + DRAWS,)``: the figure, then that of each draw.
    """
    level = 1 - (1 - LEVEL) / len(figures)
    drawn = [one[1:][np.isfinite(one[1:])] for one in figures]
    ends = np.array([percentiles(one, level) for one in drawn if len(one)]).reshape(-1, 2)
    value = float(np.nanmax([one[0] for one in figures]))
    low, high = ends.max(axis=0) if len(ends) else (np.nan, np.nan)
    return Estimate(value) if low == high else Estimate(value, float(low), float(high))


def above_chance(told: Estimate, chance: float, margin: float = 0.0) -> bool:
    """Return whether something is told above chance with its whole interval.

    Args:
        told: balanced accuracy.
        chance: of guessing.
        margin: share of what is told above chance that the lower end must keep.
    """
    low = told.low if np.isfinite(told.low) else told.value
    return bool(low > chance + 1e-9 and low - chance >= margin * (told.value - chance))


def kept_share(
    untransformed: NDArray[np.float64], transformed: NDArray[np.float64], chance: float
) -> Estimate:
    """Return the share of the information that is kept.

    Args:
        untransformed: ``(1 + DRAWS,)`` balanced accuracies.
        transformed: likewise, of the same draws.
        chance: of guessing.

    Returns:
        (transformed - chance) / (untransformed - chance), at most 1 and at least 0.
    """
    gained = untransformed - chance
    share = (transformed - chance) / np.where(gained > 0, gained, np.nan)
    return estimate(np.clip(share, 0, 1))
