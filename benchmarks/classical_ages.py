"""Classical brain age: ridge, ridge on components, RBF-SVR, tuned inside the training part."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

__all__ = ["CLASSICAL", "classical_ages"]

Array = np.ndarray
CLASSICAL = ("ridge", "ridge on 60 components", "RBF-SVR")


def classical_ages(views: Array, age: Array, train: Array, model: str) -> Array:
    """Fit on all views of the subjects `train`; return the age of every subject, mean over views.

    Args:
        views: ``(V, N, P)``, voxels of the views of each subject; the same V for all.
        age: ``(N,)`` years.
        train: rows to fit on. Tuned on 5 contiguous parts of them, a subject's views in one part.
        model: one of `CLASSICAL`.
    """
    x = views - views[:, train].mean(axis=(0, 1))
    known = x[:, train].reshape(-1, x.shape[2])
    dot, square = x @ known.T, (x**2).sum(axis=2)
    target = np.tile(age[train], len(views))
    number = np.arange(len(known)).reshape(len(views), -1)
    folds = [
        (number[:, fit].ravel(), number[:, held].ravel())
        for fit, held in KFold(5).split(np.arange(len(train)))
    ]
    tuned: dict[str, Any] = {"cv": folds, "scoring": "neg_mean_absolute_error"}
    own = dot[:, train].reshape(len(known), -1)
    if model == "RBF-SVR":
        return support_vector_ages(dot, square, train, target, tuned)
    # coordinates in the span of the training maps: ridge and components see nothing else of x
    values, vectors = np.linalg.eigh(own)
    some = values > 1e-9 * values[-1]
    basis = vectors[:, some] / np.sqrt(values[some])
    steps = [Ridge()] if model == "ridge" else [PCA(60), Ridge()]
    grid = {"ridge__alpha": 10.0 ** np.arange(-2, 6)}
    search = GridSearchCV(make_pipeline(*steps), grid, **tuned).fit(own @ basis, target)
    return mean_over_views(search, dot @ basis)


def support_vector_ages(
    dot: Array, square: Array, train: Array, target: Array, tuned: dict[str, Any]
) -> Array:
    known = square[:, train].ravel()
    distance = square[:, :, None] + known - 2 * dot
    distance /= np.median(distance[:, train])
    searches = []
    for gamma in (0.01, 0.03, 0.1, 0.3, 1.0):
        kernel = np.exp(-gamma * distance)
        grid = {"C": 10.0 ** np.arange(0, 5, 0.5)}
        search = GridSearchCV(SVR(kernel="precomputed"), grid, **tuned)
        searches.append((search.fit(kernel[:, train].reshape(len(known), -1), target), kernel))
    best, kernel = max(searches, key=lambda pair: pair[0].best_score_)
    return mean_over_views(best, kernel)


def mean_over_views(fitted: GridSearchCV, x: Array) -> Array:
    return np.mean([fitted.predict(view) for view in x], axis=0)
