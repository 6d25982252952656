"""How hard it is to tell which two views are of one image, before anything is trained.

Representations are standardised over the untransformed images and scaled to unit length; for B
images z has 2 B rows. For a set whose method compares a view with the untransformed image, the
first of the two is that image.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from common.audit.features import Encoder, one_kind
from common.audit.images import AuditImages
from common.audit.sets import TransformationSet
from common.audit.views import BATCH, draw
from common.losses import InfoNCE
from common.report.audit.findings import Difficulty

__all__ = ["Pairs", "difficulty_of", "info_nce_of", "pairs_of"]

EDGES = np.linspace(0.0, 2.0, 41)
Rows = NDArray[np.float64]


@dataclass(frozen=True)
class Pairs:
    """Two views of each of B images at unit length, ``(B, F)`` each, and the images as they are."""

    first: Rows
    second: Rows
    plain: Rows


def pairs_of(
    images: AuditImages, transforms: TransformationSet | None, encoder: Encoder, seed: int
) -> Pairs:
    """Draw two views of every image and represent them.

    Args:
        images: of the batch, B of them.
        transforms: the set; None for no transformation at all.
        encoder: whose representations.
        seed: of the draws.
    """

    def represented(number: int) -> Rows:
        assert transforms is not None
        views = draw(images, transforms, seed * 1013 + number)
        return np.concatenate([one_kind(b.view, "encoder", encoder) for b in views]).astype(float)

    plain = np.concatenate(
        [
            one_kind(
                x.float() if transforms is None else transforms.prepared(x), "encoder", encoder
            )
            for x in torch.split(images.x, BATCH[images.spatial_dims])
        ]
    ).astype(float)
    mean, std = plain.mean(axis=0), plain.std(axis=0)
    varying = std > 1e-8

    def unit(h: Rows) -> Rows:
        h = (h[:, varying] - mean[varying]) / std[varying]
        return np.asarray(h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12))

    if transforms is None:
        return Pairs(unit(plain), unit(plain), unit(plain))
    first = plain if transforms.anchored else represented(0)
    return Pairs(unit(first), unit(represented(1)), unit(plain))


def info_nce_of(pairs: Pairs, temperature: float) -> float:
    """Return InfoNCE of the batch in nats, mean over all 2 B rows."""
    z = torch.from_numpy(np.stack([pairs.first, pairs.second], axis=1))
    return float(InfoNCE(temperature)(z))


def difficulty_of(pairs: Pairs, temperature: float) -> Difficulty:
    """Return all figures of a batch of pairs."""
    count = len(pairs.first)
    positive = np.linalg.norm(pairs.first - pairs.second, axis=1)
    rows = np.concatenate([pairs.first, pairs.second])
    distance = _distances(rows)
    number = np.tile(np.arange(count), 2)
    other = number[:, None] != number
    nearer = (distance < np.tile(positive, 2)[:, None]) & other
    negative = distance[np.triu(other)]
    plain = _distances(pairs.plain)[np.triu_indices(count, 1)]
    densities = [_shares(values) for values in (positive, negative, plain)]
    return Difficulty(
        images=count,
        edges=tuple(EDGES.tolist()),
        positive=densities[0],
        negative=densities[1],
        untransformed=densities[2],
        positive_mean=float(positive.mean()),
        negative_mean=float(negative.mean()),
        untransformed_mean=float(plain.mean()),
        overlap=float(np.minimum(densities[0], densities[1]).sum().clip(0, 1)),
        area=_area(positive, negative),
        nearer=float(nearer.sum() / other.sum()),
        alignment=float((positive**2).mean()),
        uniformity=float(np.log(np.exp(-2 * negative**2).mean())),
        info_nce=info_nce_of(pairs, temperature),
        guessing=float(np.log(2 * count - 1)),
    )


def _distances(rows: Rows) -> Rows:
    return np.asarray(np.sqrt(np.maximum(0.0, 2 - 2 * rows @ rows.T).clip(0, 4)))


def _shares(distance: Rows) -> tuple[float, ...]:
    count = np.histogram(distance.clip(0, 2), EDGES)[0]
    return tuple((count / max(1, len(distance))).tolist())


def _area(positive: Rows, negative: Rows) -> float:
    """Chance that a negative distance is greater than a positive one; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    to = np.searchsorted(ordered, positive, side="right")
    return float(1 - (below + to).mean() / (2 * len(negative)))
