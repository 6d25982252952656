"""Each transformation alone: as the set uses it, and from weak to strong.

A strength keeps enough where the share kept is at least the share asked for, after the shares of
its scan were smoothed so that none rises with strength (isotonic regression): one noisy step
neither stops a scan nor carries it on. Of the label that is asked only where untransformed images
tell it clearly: at the lower end of the interval by half as much above chance as in the middle.
Lesions are counted by geometry, so that without the label they decide of what moves pixels alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression
from torch import Tensor, nn

from common.audit.difficulty import info_nce_of, pairs_of
from common.audit.features import KINDS, Encoder
from common.audit.images import AuditImages
from common.audit.information import Best, Told, ask, best
from common.audit.seen import lesions_of, look
from common.audit.sets import Crops, TransformationSet, ViewKind, subset
from common.audit.strength import STRENGTHS, at_strength, restricted, turned_by, words_of
from common.audit.telling import Target, above_chance, kept_share
from common.report.audit.findings import Estimate, Part
from common.report.audit.strengths import Scan, Step
from common.transforms.declaration import DECLARED

__all__ = ["Bench", "parts_of", "scans_of", "smoothed"]

ROUNDING = 1e-9
MARGIN = 0.5  # share of what is told above chance that the lower end of its interval keeps


@dataclass(frozen=True, kw_only=True)
class Bench:
    """Where variants of a set are measured: fewer images, one view of each.

    Attributes:
        images: of the scan.
        batch: of the difficulty.
        label: of the images of the scan; None where it is not told.
        plain: what these images tell of it as they are; None where that is not clearly anything.
        encoder: of the features "encoder" and of the difficulty.
        keep: share to be kept.
        temperature: of InfoNCE.
        seed: of the draws.
    """

    images: AuditImages
    batch: AuditImages
    label: Target | None
    plain: Best | None
    encoder: Encoder
    keep: float
    temperature: float
    seed: int

    @staticmethod
    def plain_of(plain: Mapping[str, Told], label: Target) -> Best | None:
        """Return what untransformed images tell of the label, where they tell it clearly."""
        found = best(plain)
        return found if above_chance(found.estimate, label.chance, MARGIN) else None

    def decides(self, name: str) -> bool:
        """Return whether it can be said what strengths of a transformation keep."""
        if self.plain is not None:
            return True
        mask = self.images.mask
        moves = DECLARED["flip" if name.startswith("flip_") else name].moves_pixels
        return moves and mask is not None and bool(mask.any())

    def kept(self, transforms: TransformationSet) -> tuple[Estimate | None, Estimate | None]:
        """Return the share of lesions and of the label's information that a set keeps."""
        told = self.label is not None and self.plain is not None
        if not told and self.images.mask is None:
            return None, None
        kinds = KINDS if told else ()
        seen = look(self.images, transforms, self.encoder, 1, self.seed, kinds)
        lesions = lesions_of(self.images, seen)
        share = None
        if self.label is not None and self.plain is not None:
            after = best(ask(seen.features, self.label)).figures
            share = kept_share(self.plain.figures, after, self.label.chance)
        return (None if lesions is None else lesions.kept), share

    def info_nce(self, transforms: TransformationSet | None) -> float:
        """Return InfoNCE of a set in nats; of no transformation with None."""
        pairs = pairs_of(self.batch, transforms, self.encoder, self.seed)
        return info_nce_of(pairs, self.temperature)

    def keeps(self, *shares: Estimate | None) -> bool:
        """Return whether all that is known is kept; False where nothing is."""
        known = [share.value for share in shares if share is not None]
        return bool(known) and min(known) >= self.keep - ROUNDING


def smoothed(steps: Sequence[Step]) -> NDArray[np.float64]:
    """Return the smaller of the shares kept at each step ``(steps,)``, none above a weaker step's.

    NaN where neither is known.
    """
    least = np.full(len(steps), np.nan)
    for shares in zip(*((step.lesions_kept, step.label_kept) for step in steps)):
        known = [share.value for share in shares if share is not None]
        if len(known) == len(steps):
            least = np.fmin(least, isotonic_regression(known, increasing=False))
    return least


class Columns(nn.Module):
    """Some of the parameters that a policy chooses."""

    def __init__(self, policy: nn.Module, columns: Sequence[int]) -> None:
        super().__init__()
        self.policy = policy
        self.columns = list(columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``lam (B, columns)``."""
        lam: Tensor = self.policy(x)
        return lam[:, self.columns]


def only(kind: ViewKind, names: Sequence[str]) -> ViewKind | None:
    """Return the kind with some of its transformations, chosen as it does; None without any."""
    transform, columns = subset(kind.transform, names)
    if transform is None:
        return None
    chances = [p for name, p in zip(kind.transform.order, kind.probability) if name in names]
    policy = Columns(kind.policy, columns)
    policy.probability = chances  # type: ignore[assignment]  # what the kind says of it
    return replace(kind, policy=policy, transform=transform)


def parts_of(transforms: TransformationSet, bench: Bench) -> tuple[Part, ...]:
    """Return what each transformation of each kind of views does alone, and the set without it."""
    still = bench.info_nce(None)
    return tuple(
        part for kind in transforms.kinds for part in _parts(transforms, kind, bench, still)
    )


def _parts(
    transforms: TransformationSet, kind: ViewKind, bench: Bench, still: float
) -> Iterator[Part]:
    def of(member: ViewKind | None) -> TransformationSet | None:
        return None if member is None else replace(transforms, kinds=(member,))

    used = [name for name, p in zip(kind.transform.order, kind.probability) if p > 0]
    whole = bench.info_nce(of(kind))
    words = dict(zip(kind.transform.order, kind.words()))
    chances = dict(zip(kind.transform.order, kind.probability))
    crops = isinstance(kind.transform, Crops)
    for name in used:
        alone = of(kind if crops else only(kind, [name]))
        without = of(None if crops else only(kind, [other for other in used if other != name]))
        assert alone is not None
        left = bench.info_nce(without)
        lesions, label = bench.kept(alone)
        yield Part(
            member=kind.name,
            transformation=name,
            words=words[name],
            probability=chances[name],
            alone=bench.info_nce(alone),
            without=left,
            share=(whole - left) / (whole - still) if whole > still else float("nan"),
            lesions_kept=lesions,
            label_kept=label,
        )


def scans_of(transforms: TransformationSet, bench: Bench) -> tuple[Scan, ...]:
    """Return each transformation in use from weak to strong; those of a channel have no strength.

    What several kinds of views have in common is scanned once.
    """
    scans: dict[str, Scan] = {}
    for kind in transforms.kinds:
        if isinstance(kind.transform, Crops):
            continue
        for name, chance in zip(kind.transform.order, kind.probability):
            own = kind.transform.settings.get(name, {})
            turned = turned_by(kind, name)
            fixed = {key: value for key, value in own.items() if key not in turned}
            key = f"{name} {sorted(fixed.items(), key=str)}"
            if chance > 0 and key not in scans:
                scans[key] = _scan(transforms, kind, name, bench)
    return tuple(scans.values())


def _scan(transforms: TransformationSet, kind: ViewKind, name: str, bench: Bench) -> Scan:
    side = max(bench.images.x.shape[2:])
    steps: list[Step] = []
    for strength in STRENGTHS:
        settings, chance = at_strength(kind, name, strength, side, transforms.standardize)
        member = restricted(kind, {name: settings}, {name: chance})
        variant = replace(transforms, kinds=(member,))
        lesions, label = bench.kept(variant)
        steps.append(
            Step(
                strength=strength,
                words=words_of(name, settings, chance, bench.images.spatial_dims),
                settings=settings,
                probability=chance,
                lesions_kept=lesions,
                label_kept=label,
                info_nce=bench.info_nce(variant),
                keeps=False,
            )
        )
    enough = (smoothed(steps) >= bench.keep - ROUNDING) & bench.decides(name)
    return Scan(
        member=kind.name,
        transformation=name,
        steps=tuple(replace(step, keeps=bool(kept)) for step, kept in zip(steps, enough)),
        strongest=int(enough.sum()) - 1 if enough.any() else None,
    )
