"""What views still tell: of the label, and of what is no business of the encoder's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from common.audit.features import Features
from common.audit.images import AuditImages
from common.audit.targets import coded
from common.audit.telling import Target, balanced, estimate, kept_share, recalls, told
from common.report.audit.findings import GroupInformation, LabelInformation, Shortcut, Telling

__all__ = ["Told", "ask", "label_information", "shortcut"]

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


def best(plain: Mapping[str, Told]) -> str:
    """Return the kind of features that tells most of untransformed images."""
    return max(plain, key=lambda kind: float(plain[kind].figures[0]))


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
    kind = best(plain)
    before, after = plain[kind], views[kind]
    classes = _groups(before.recall, after.recall, target.values, np.bincount(target.code))
    return LabelInformation(
        images=len(target.rows),
        chance=target.chance,
        features=kind,
        untransformed=estimate(before.figures),
        transformed=estimate(after.figures),
        kept=kept_share(before.figures, after.figures, target.chance),
        tellings=_tellings(plain, views),
        classes=classes,
        sites=_sites(target, before.right, after.right, images),
        losers=tuple(group.name for group in classes if group.loss.low > 0),
    )


def shortcut(target: Target, plain: Mapping[str, Told], views: Mapping[str, Told]) -> Shortcut:
    """Return how well something that is not the label can be told from views."""
    kind = best(plain)
    after = estimate(views[kind].figures)
    return Shortcut(
        attribute=target.name,
        values=target.values,
        images=len(target.rows),
        chance=target.chance,
        features=kind,
        untransformed=estimate(plain[kind].figures),
        transformed=after,
        tellings=_tellings(plain, views),
        remains=bool(after.low > target.chance if np.isfinite(after.low) else after.value == 1),
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
    target: Target, before: Right, after: Right, images: AuditImages
) -> tuple[GroupInformation, ...]:
    if "site" not in images.columns:
        return ()
    rows, code, values = coded(images.columns["site"][target.rows], images.names.get("site", ()))
    if len(rows) < len(target.rows) or len(values) < 2:
        return ()
    count = np.bincount(code)
    shares = [recalls(right, target, code) for right in (before, after)]
    groups = _groups(shares[0], shares[1], tuple(values), count)
    return tuple(group for group in groups if group.images >= OF_SITE)
