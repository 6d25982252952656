"""Classical brain age: ridge, ridge on components, RBF-SVR, tuned inside the training part."""

from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVR

__all__ = ["CLASSICAL", "classical_ages"]

Array = np.ndarray
CLASSICAL = ("ridge", "ridge on 60 components", "RBF-SVR")


def classical_ages(maps: Array, age: Array, train: Array, model: str) -> Array:
    x = maps - maps[train].mean(axis=0)
    dot, square = x @ x[train].T, (x**2).sum(axis=1)
    tuned: dict[str, Any] = {"cv": 5, "scoring": "neg_mean_absolute_error"}
    if model == "RBF-SVR":
        return support_vector_ages(dot, square, age, train, tuned)
    # coordinates in the span of the training maps: ridge and components see nothing else of x
    values, vectors = np.linalg.eigh(dot[train])
    some = values > 1e-9 * values[-1]
    x = dot @ vectors[:, some] / np.sqrt(values[some])
    steps = [Ridge()] if model == "ridge" else [PCA(60), Ridge()]
    grid = {"ridge__alpha": 10.0 ** np.arange(-2, 6)}
    search = GridSearchCV(make_pipeline(*steps), grid, **tuned)
    return search.fit(x[train], age[train]).predict(x)


def support_vector_ages(
    dot: Array, square: Array, age: Array, train: Array, tuned: dict[str, Any]
) -> Array:
    distance = square[:, None] + square[train] - 2 * dot
    distance /= np.median(distance[train])
    found = []
    for gamma in (0.01, 0.03, 0.1, 0.3, 1.0):
        kernel = np.exp(-gamma * distance)
        grid = {"C": 10.0 ** np.arange(0, 5, 0.5)}
        search = GridSearchCV(SVR(kernel="precomputed"), grid, **tuned)
        found.append((search.fit(kernel[train], age[train]), kernel))
    best, kernel = max(found, key=lambda pair: pair[0].best_score_)
    return best.predict(kernel)
