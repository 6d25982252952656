"""What views still tell: of the label, and of what is no business of the encoder's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.audit.features import Features
from common.audit.images import AuditImages
from common.audit.targets import coded
from common.audit.telling import (
    Target,
    above_chance,
    balanced,
    best_estimate,
    estimate,
    kept_share,
    recalls,
    told,
)
from common.report.audit.findings import (
    Estimate,
    GroupInformation,
    LabelInformation,
    Shortcut,
    Telling,
)

__all__ = ["Best", "Told", "ask", "asked_once", "best", "label_information", "shortcut"]

OF_SITE = 5  # images of a site at least

Right = NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """One target asked for with one kind of features: ``(n,)`` share of the views told right."""

    right: Right
    recall: NDArray[np.float64]  # (1 + draws, classes)

    @property
    def figures(self) -> NDArray[np.float64]:
        """Balanced accuracies ``(1 + draws,)``."""
        return balanced(self.recall)


def ask(views: Mapping[str, list[NDArray[np.float32]]], target: Target) -> dict[str, Told]:
    """Ask for a target with each kind of features.

    Args:
        views: by kind, V arrays ``(N, F)``.
        target: what is to be told.
    """
    made = {}
    for kind, features in views.items():
        right = told(features, target)
        made[kind] = Told(right, recalls(right, target))
    return made


def asked_once(features: Features, target: Target) -> dict[str, Told]:
    """Ask for a target with each kind of features of untransformed images."""
    return ask({kind: [array] for kind, array in features.items()}, target)


@dataclass(frozen=True)
class Best:
    """What the kind of features tells that tells most, chosen anew in every draw.

    Of images and of views it is chosen for each on its own: were it chosen on images and asked of
    views too, chance would favour the images.

    Attributes:
        kind: that tells most of all images.
        choice: ``(1 + draws,)`` number of the kind.
        figures: ``(1 + draws,)`` its balanced accuracies.
        estimate: with an interval that allows for the choice.
    """

    kind: str
    choice: NDArray[np.intp]
    figures: NDArray[np.float64]
    estimate: Estimate

    def of(self, shares: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return of K arrays ``(1 + draws, ...)`` the rows of the kinds that were chosen."""
        return np.asarray(np.stack(shares)[self.choice, np.arange(len(self.choice))])


def best(asked: Mapping[str, Told]) -> Best:
    """Return what the kind of features tells that tells most."""
    figures = np.stack([one.figures for one in asked.values()])
    choice = np.argmax(np.nan_to_num(figures, nan=-1.0), axis=0)
    chosen = figures[choice, np.arange(len(choice))]
    return Best(list(asked)[choice[0]], choice, chosen, best_estimate(list(figures)))


def label_information(
    target: Target, plain: Mapping[str, Told], views: Mapping[str, Told], images: AuditImages
) -> LabelInformation:
    """Return how much views still tell of the label.

    Args:
        target: the label.
        plain: what untransformed images tell, by kind of features.
        views: what views tell.
        images: for the sites.
    """
    before, after = best(plain), best(views)
    recall = [
        one.of([told.recall for told in asked.values()])
        for one, asked in ((before, plain), (after, views))
    ]
    classes = _groups(recall[0], recall[1], target.values, np.bincount(target.code))
    kept = Estimate(float("nan"))
    if above_chance(before.estimate, target.chance):
        kept = kept_share(before.figures, after.figures, target.chance)
    return LabelInformation(
        images=len(target.rows),
        chance=target.chance,
        features=before.kind,
        untransformed=before.estimate,
        transformed=after.estimate,
        kept=kept,
        tellings=_tellings(plain, views),
        classes=classes,
        sites=_sites(target, (before, plain), (after, views), images),
        losers=tuple(group.name for group in classes if group.loss.low > 0),
        features_of_views=after.kind,
    )


def shortcut(target: Target, plain: Mapping[str, Told], views: Mapping[str, Told]) -> Shortcut:
    """Return how well something that is not the label can be told from views."""
    before, after = best(plain), best(views)
    return Shortcut(
        attribute=target.name,
        values=target.values,
        images=len(target.rows),
        chance=target.chance,
        features=before.kind,
        untransformed=before.estimate,
        transformed=after.estimate,
        tellings=_tellings(plain, views),
        remains=above_chance(after.estimate, target.chance),
        features_of_views=after.kind,
    )


def _tellings(plain: Mapping[str, Told], views: Mapping[str, Told]) -> tuple[Telling, ...]:
    return tuple(
        Telling(
            features=kind,
            untransformed=estimate(plain[kind].figures),
            transformed=estimate(views[kind].figures),
        )
        for kind in plain
    )


def _groups(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    names: tuple[str, ...],
    count: NDArray[np.intp],
) -> tuple[GroupInformation, ...]:
    """Groups, those that lose most first."""
    made = [
        GroupInformation(
            name=name,
            images=int(count[number]),
            untransformed=estimate(before[:, number]),
            transformed=estimate(after[:, number]),
            loss=estimate(before[:, number] - after[:, number]),
        )
        for number, name in enumerate(names)
    ]
    return tuple(sorted(made, key=lambda group: -group.loss.value))


def _sites(
    target: Target,
    before: tuple[Best, Mapping[str, Told]],
    after: tuple[Best, Mapping[str, Told]],
    images: AuditImages,
) -> tuple[GroupInformation, ...]:
    if "site" not in images.columns:
        return ()
    rows, code, values = coded(images.columns["site"][target.rows], images.names.get("site", ()))
    if len(rows) < len(target.rows) or len(values) < 2:
        return ()
    count = np.bincount(code)
    shares = [
        one.of([recalls(told.right, target, code) for told in asked.values()])
        for one, asked in (before, after)
    ]
    groups = _groups(shares[0], shares[1], tuple(values), count)
    return tuple(group for group in groups if group.images >= OF_SITE)
