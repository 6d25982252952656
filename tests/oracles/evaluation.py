"""What `common.evaluation` computes, written out as loops."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

Array = NDArray[np.float64]


def auc(label: Array, scores: Array) -> float:
    """Share of (positive, negative) pairs in the right order; a tie counts half."""
    wins = [
        1.0 if high > low else 0.5 if high == low else 0.0
        for high in scores[label == 1]
        for low in scores[label == 0]
    ]
    return sum(wins) / len(wins)


def linear_evaluation(features: Array, label: Array, fold: Array) -> tuple[list[float], Array]:
    """AUC of each fold by a logistic regression fitted on the others, and all decision values."""
    scores, actual = np.zeros(len(label)), []
    for number in sorted(set(fold.tolist())):
        used, held_out = fold != number, fold == number
        mean, std = features[used].mean(axis=0), features[used].std(axis=0)
        model = LogisticRegression(max_iter=2000).fit((features[used] - mean) / std, label[used])
        unit = (features[held_out] - mean) / std
        scores[held_out] = unit @ model.coef_[0] + model.intercept_[0]
        actual.append(auc(label[held_out], scores[held_out]))
    return actual, scores


def patient_bootstrap(
    label: Array, scores: Array, fold: Array, patient: NDArray[np.str_], draws: int, seed: int
) -> list[float]:
    """Mean AUC over folds for each draw of patients with replacement, fold by fold."""
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        actual = []
        for number in sorted(set(fold.tolist())):
            names = sorted(set(patient[fold == number].tolist()))
            chosen = generator.integers(len(names), size=len(names))
            rows = [
                row
                for k in chosen
                for row in range(len(label))
                if fold[row] == number and patient[row] == names[k]
            ]
            if len(set(label[rows].tolist())) == 2:
                actual.append(auc(label[rows], scores[rows]))
        if len(actual) == len(set(fold.tolist())):
            means.append(sum(actual) / len(actual))
    return means


def best_of_five_folds(features: Array, target: Array, models: list[Any], folds: Any) -> Any:
    """The first model with the best mean score over the folds, fitted on all rows."""
    means = []
    for model, score in models:
        actual = []
        for held_out in folds:
            used = np.setdiff1d(np.arange(len(target)), held_out)
            predicted = model.fit(features[used], target[used]).predict(features[held_out])
            actual.append(score(target[held_out], predicted))
        means.append(sum(actual) / len(actual))
    return models[int(np.argmax(means))][0].fit(features, target)


def r2(target: Array, predicted: Array) -> float:
    """One minus the squared error over that of the mean."""
    error = sum((t - p) ** 2 for t, p in zip(target, predicted))
    return float(1 - error / sum((t - np.mean(target)) ** 2 for t in target))


def balanced_accuracy(target: Array, predicted: Array) -> float:
    """Mean over the classes in `target` of the share recognised."""
    shares = []
    for value in sorted(set(target.tolist())):
        hits = [p == t for t, p in zip(target, predicted) if t == value]
        shares.append(sum(hits) / len(hits))
    return sum(shares) / len(shares)


def distance_groups(z: Array, label: Array, bias: Array) -> dict[str, list[float]]:
    """Distances of unit rows for all i < j, by whether label and bias agree."""
    groups: dict[str, list[float]] = {}
    for i in range(len(z)):
        for j in range(i + 1, len(z)):
            name = "positive" if label[i] == label[j] else "negative"
            name += "_aligned" if bias[i] == bias[j] else "_conflicting"
            a, b = (row / sum(v * v for v in row) ** 0.5 for row in (z[i], z[j]))
            distance = sum((u - v) ** 2 for u, v in zip(a, b)) ** 0.5
            groups.setdefault(name, []).append(distance)
    return groups
