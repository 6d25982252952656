"""Which image to label next, and why: from embeddings, the labels so far and the model's scores.

- `k_centre`: the image farthest from all that are labelled (greedy k-centre; Sener and Savarese,
  ICLR 2018, https://arxiv.org/abs/1708.00489);
- `typicality`: of the largest group of images without a label the one with the nearest neighbours
  (TypiClust; Hacohen, Dekel and Weinshall, ICML 2022, https://arxiv.org/abs/2202.02794). Differs
  from the paper: at most 100 groups, found by k-means on standardised features;
- `margin`: the image whose two likeliest classes are nearest to each other (Scheffer et al. 2001),
  by a logistic regression on the labelled embeddings as soon as two classes have two labels each,
  until then by the model's own scores;
- `combined`: the smallest sum of the ranks by typicality and by margin (ours).

Features are standardised and brought to unit length, so a distance lies between 0 and 2.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from common.checks import require

__all__ = ["STRATEGIES", "Geometry", "Proposal", "Round", "propose"]

GROUPS = 100
NEIGHBOURS = 20
ENOUGH = 2  # labels of a class that a probe is fitted on
TILE = 512  # rows of a block of distances

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class Proposal:
    """An image to label.

    Attributes:
        row: of the pool.
        why: in words for the person who labels.
    """

    row: int
    why: str


class Geometry:
    """What embeddings tell without any label; computed once, as often as it is asked for.

    Args:
        h: ``(N, F)`` embeddings.
        seed: of the k-means.

    Attributes:
        h: the same, standardised and of length 1.
    """

    def __init__(self, h: Floats, seed: int = 0) -> None:
        self.h, self.seed = unit(h), seed
        self._groups: dict[int, NDArray[np.integer]] = {}

    @cached_property
    def density(self) -> Floats:
        """``(N,)`` one over the mean distance to the nearest neighbours."""
        return _density(self.h, self.h)

    def groups(self, count: int) -> NDArray[np.integer]:
        """``(N,)`` number of each image's group, of `count`."""
        if count not in self._groups:
            means = KMeans(count, n_init=1, random_state=self.seed)
            self._groups[count] = (
                means.fit_predict(self.h) if count > 1 else np.zeros(len(self.h), int)
            )
        return self._groups[count]


class Round:
    """What is known when an image is to be chosen.

    Args:
        images: their `Geometry`, or their ``(N, F)`` embeddings.
        label: ``(N,)`` classes; -1 for none.
        scores: ``(N, classes)`` of the model; ``(N, 0)`` for none.
        classes: names of the classes.
        skipped: ``(N,)`` whether an image must not be proposed; none unless given.
        labelled: ``(N,)`` whether it is labelled, with a class or, for a regression, a number;
            where `label` is not -1, unless given.
        scored: names of what `scores` are of; those of the classes unless given.
    """

    def __init__(
        self,
        images: Geometry | Floats,
        label: NDArray[np.integer],
        scores: Floats | None = None,
        classes: tuple[str, ...] = (),
        skipped: NDArray[np.bool_] | None = None,
        labelled: NDArray[np.bool_] | None = None,
        scored: tuple[str, ...] = (),
    ) -> None:
        self.images = images if isinstance(images, Geometry) else Geometry(images)
        self.h, self.label, self.classes = self.images.h, label, classes
        self.scored = scored or classes
        self.scores = np.zeros((len(label), 0)) if scores is None else scores
        self.labelled = label >= 0 if labelled is None else labelled
        skipped = np.zeros(len(label), bool) if skipped is None else skipped
        self.open = np.flatnonzero(~self.labelled & ~skipped)

    @cached_property
    def by_labels(self) -> bool:
        """Whether the labels tell classes apart: two of them have two each."""
        counts = np.unique(self.label[self.label >= 0], return_counts=True)[1]
        return bool((counts >= ENOUGH).sum() >= 2)

    @cached_property
    def probabilities(self) -> Floats | None:
        """``(N, classes)`` of a probe on the labels, else of the model; None without either."""
        if not self.by_labels:
            return self.scores if self.scores.shape[1] >= 2 else None
        known = self.label >= 0
        probe = LogisticRegression(C=1.0, max_iter=500).fit(self.h[known], self.label[known])
        probabilities = np.zeros((len(self.h), int(self.label.max()) + 1))
        probabilities[:, probe.classes_] = probe.predict_proba(self.h)
        return probabilities

    def gap(self) -> Floats | None:
        """``(open,)`` between the two highest probabilities; None where there are none."""
        if self.probabilities is None:
            return None
        ranked = np.sort(self.probabilities[self.open], axis=1)
        return np.asarray(ranked[:, -1] - ranked[:, -2])


def propose(strategy: str, known: Round) -> Proposal | None:
    """Choose the next image; None when all are labelled or skipped.

    Raises:
        InputError: an unknown strategy.
    """
    require(
        strategy in STRATEGIES,
        f"strategy: must be one of {', '.join(STRATEGIES)}, got {strategy[:40]!r}.",
    )
    return STRATEGIES[strategy](known) if len(known.open) else None


def unit(h: Floats) -> Floats:
    """Standardise each feature and bring each row to length 1."""
    h = np.asarray(h, np.float64)
    h = (h - h.mean(axis=0)) / np.maximum(h.std(axis=0), 1e-9)
    return np.asarray(h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-9))


def distances(a: Floats, b: Floats) -> Floats:
    """Return ``(len(a), len(b))`` distances of rows of length 1."""
    return np.asarray(np.sqrt(np.maximum(2 - 2 * a @ b.T, 0)))


def k_centre(known: Round) -> Proposal:
    """Choose the image farthest from its nearest labelled one; at first, the most ordinary one."""
    there = known.h[known.labelled]
    if not len(there):
        row = known.open[int(np.argmin(((known.h[known.open] - known.h.mean(0)) ** 2).sum(1)))]
        return Proposal(int(row), "Nothing is labelled yet; this is the most ordinary image.")
    nearest = _nearest(known.h[known.open], there, 1)
    best = int(np.argmax(nearest))
    words = (
        f"It is the least like anything labelled so far (distance {nearest[best]:.2f}; half of the "
        f"images are within {np.median(nearest):.2f})."
    )
    return Proposal(int(known.open[best]), words)


def typicality(known: Round) -> Proposal:
    """Choose the most typical image of the largest group that has no label."""
    count = min(int(known.labelled.sum()) + 1, GROUPS, len(known.h))
    group = known.images.groups(count)
    sizes = np.bincount(group, minlength=count)
    labels = np.bincount(group[known.labelled], minlength=count)
    able = np.bincount(group[known.open], minlength=count) > 0
    order = sorted(np.flatnonzero(able), key=lambda k: (labels[k], -sizes[k]))
    chosen = int(order[0])
    members, rows = np.flatnonzero(group == chosen), known.open[group[known.open] == chosen]
    density = _density(known.h[rows], known.h[members])
    number = int(labels[chosen])
    told = (
        "none of which is"
        if not number
        else f"only {number} of which {'is' if number == 1 else 'are'}"
    )
    words = f"It is the most typical of a group of {sizes[chosen]} similar images, {told} labelled."
    return Proposal(int(rows[int(np.argmax(density))]), words)


def margin(known: Round) -> Proposal:
    """Choose the image about which the scores are least sure."""
    gap = known.gap()
    if gap is None:
        one = typicality(known)
        if len(known.classes) == 1:  # an age: nothing to be unsure between
            return one
        return Proposal(one.row, f"There are no scores yet. {one.why}")
    row = int(known.open[int(np.argmin(gap))])
    return Proposal(row, _unsure(known, row))


def combined(known: Round) -> Proposal:
    """Choose an image that is both typical and unsure: by the sum of its ranks."""
    gap = known.gap()
    if gap is None:
        return margin(known)
    density = known.images.density[known.open]
    ranks = _ranks(gap) + _ranks(-density)
    best = int(np.argmin(ranks))
    row, share = int(known.open[best]), 100 * float((density <= density[best]).mean())
    words = f"{_unsure(known, row)} It is more typical than {share:.0f} % of the open images."
    return Proposal(row, words)


STRATEGIES: dict[str, Callable[[Round], Proposal]] = {
    "margin": margin,  # first, the default: it saved most labels in benchmarks/active_learning.md
    "k_centre": k_centre,
    "combined": combined,
    "typicality": typicality,
}


def _unsure(known: Round, row: int) -> str:
    probabilities = known.probabilities
    assert probabilities is not None
    first, second = np.argsort(-probabilities[row], kind="stable")[:2]
    of = known.classes if known.by_labels else known.scored
    names = [of[k] if k < len(of) else f"class {k}" for k in (first, second)]
    told = [
        f"{name} {100 * probabilities[row, k]:.0f} %" for name, k in zip(names, (first, second))
    ]
    who = "By the labels so far it" if known.by_labels else "To the model it"
    return f"{who} is among the least certain: {told[0]}, {told[1]}."


def _ranks(values: Floats) -> NDArray[np.integer]:
    return np.argsort(np.argsort(values, kind="stable"), kind="stable")


def _nearest(rows: Floats, among: Floats, count: int) -> Floats:
    """Mean distance of each row to the `count` nearest of `among`."""
    count = min(count, len(among))
    found = []
    for start in range(0, len(rows), TILE):
        block = distances(rows[start : start + TILE], among)
        found.append(np.partition(block, count - 1, axis=1)[:, :count].mean(axis=1))
    return np.concatenate(found)


def _density(rows: Floats, among: Floats) -> Floats:
    """One over the mean distance to the nearest neighbours; a row's own, 0, counts as one."""
    return np.asarray(1 / np.maximum(_nearest(rows, among, NEIGHBOURS + 1), 1e-9))
