"""Accuracy or AUC of stored scores, intervals over patients and seeds, paired differences."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from paired_runs import markdown, mean_and_spread
from scipy.stats import rankdata
from small_images import Images

Array = np.ndarray
DRAWS = 1000
REFERENCES = ("no prior", "SimCLR")


class Run(NamedTuple):
    """One row of a table: for each seed, the scores of the test rows of each fold."""

    model: str
    augmentation: str
    scores: list[list[Array]]


def auc(y: Array, score: Array) -> float:
    positive = y == 1
    count = int(positive.sum())
    total = rankdata(score)[positive].sum() - count * (count + 1) / 2
    return float(total / (count * (len(y) - count)))


def figure(images: Images, scores: Sequence[Array], drawn: Sequence[Array] | None = None) -> float:
    """Accuracy of predicted classes (several) or AUC (two), mean over folds.

    Args:
        images: with the splits the scores belong to.
        scores: of the test rows of each fold.
        drawn: positions in each fold's test part to compute it on; all unless given.
    """
    values = []
    for fold, (_, test) in enumerate(images.splits):
        rows = np.arange(len(test)) if drawn is None else drawn[fold]
        y, score = images.y[test][rows], scores[fold][rows]
        values.append(np.mean(score == y) if images.y.max() > 1 else auc(y, score))
    return float(np.mean(values))


def draws(images: Images) -> Iterator[list[Array]]:
    """Positions in each fold's test part, whole groups drawn with replacement."""
    generator = np.random.default_rng(0)
    members = []
    for _, test in images.splits:
        _, number = np.unique(images.group[test], return_inverse=True)
        order = np.argsort(number, kind="stable")
        members.append(np.split(order, np.cumsum(np.bincount(number))[:-1]))
    for _ in range(DRAWS):
        yield [
            np.concatenate([fold[k] for k in generator.integers(len(fold), size=len(fold))])
            for fold in members
        ]


def drawn_figures(images: Images, runs: Sequence[Run]) -> Array:
    """Figure of each run (columns) for each draw of groups and seeds (rows), the same for all."""
    result = np.zeros((DRAWS, len(runs)))
    generator = np.random.default_rng(1)
    seeds = max(len(run.scores) for run in runs)
    for k, rows in enumerate(draws(images)):
        chosen = generator.integers(seeds, size=seeds)
        for column, run in enumerate(runs):
            values = [figure(images, scores, rows) for scores in run.scores]
            result[k, column] = np.mean([values[seed % len(values)] for seed in chosen])
    return result


def interval(values: Array) -> list[float]:
    return [float(value) for value in np.quantile(values, [0.025, 0.975])]


def summary(images: Images, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Figure and interval of each run, and its differences to `REFERENCES`."""
    drawn = drawn_figures(images, runs)
    values = [[figure(images, scores) for scores in run.scores] for run in runs]
    place = {(run.model, run.augmentation): column for column, run in enumerate(runs)}
    result = []
    for column, run in enumerate(runs):
        row: dict[str, Any] = {"model": run.model, "augmentation": run.augmentation}
        row |= {"per_seed": values[column], "interval": interval(drawn[:, column])}
        for reference in REFERENCES:
            other = place.get((reference, run.augmentation))
            if other is not None and other != column:
                row[f"minus {reference}"] = {
                    "difference": float(np.mean(values[column]) - np.mean(values[other])),
                    "interval": interval(drawn[:, column] - drawn[:, other]),
                }
        result.append(row)
    return result


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = []
    for row in rows:
        low, high = row["interval"]
        cells = [row["model"], row["augmentation"], mean_and_spread(row["per_seed"], 3)]
        cells.append(f"{low:.3f} to {high:.3f}")
        for reference in REFERENCES:
            against = row.get(f"minus {reference}")
            low, high = against["interval"] if against else (0.0, 0.0)
            cells.append(
                f"{against['difference']:+.3f} ({low:+.3f} to {high:+.3f})" if against else ""
            )
        lines.append(cells)
    header = ["model", "augmentations", "mean (std over seeds)", "95 %"]
    return markdown([*header, *(f"minus {name}" for name in REFERENCES)], lines)
