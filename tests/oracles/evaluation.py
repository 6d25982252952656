"""Area under the curve, linear evaluation and patient bootstrap, written out as loops."""

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
    scores, found = np.zeros(len(label)), []
    for number in sorted(set(fold.tolist())):
        seen, held_out = fold != number, fold == number
        mean, std = features[seen].mean(axis=0), features[seen].std(axis=0)
        model = LogisticRegression(max_iter=2000).fit((features[seen] - mean) / std, label[seen])
        unit = (features[held_out] - mean) / std
        scores[held_out] = unit @ model.coef_[0] + model.intercept_[0]
        found.append(auc(label[held_out], scores[held_out]))
    return found, scores


def patient_bootstrap(
    label: Array, scores: Array, fold: Array, patient: NDArray[np.str_], draws: int, seed: int
) -> list[float]:
    """Mean AUC over folds for each draw of patients with replacement, fold by fold."""
    generator = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        found = []
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
                found.append(auc(label[rows], scores[rows]))
        if len(found) == len(set(fold.tolist())):
            means.append(sum(found) / len(found))
    return means
