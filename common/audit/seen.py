"""All views of one set, reduced to what the sections need: features, lesions kept, blank views."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.audit.blank import LEAST, dark_and_flat, standing_out
from common.audit.features import KINDS, Encoder, Features, features_of, one_kind
from common.audit.images import AuditImages
from common.audit.sets import TransformationSet
from common.audit.telling import estimate, patient_weights
from common.audit.views import BATCH, KEPT, draw
from common.report.audit.findings import Blank, Estimate, Lesions, LesionSize

__all__ = ["Seen", "as_they_are", "blank_of", "in_pixels", "lesions_of", "look"]

GROUPS, OF_GROUP = 4, 5  # ranges of sizes at most, and images of each at least


@dataclass(frozen=True)
class Seen:
    """V views of each of N images.

    Attributes:
        features: by kind, V arrays ``(N, F)``.
        kept: ``(V, N)`` share of the lesion's mass that is left, NaN without one; None without
            masks.
        black: ``(V, N)`` whether a view is black to a person.
        constant: ``(V, N)`` whether it is not, but shows one value.
    """

    features: dict[str, list[NDArray[np.float32]]]
    kept: NDArray[np.float64] | None
    black: NDArray[np.bool_]
    constant: NDArray[np.bool_]


def look(
    images: AuditImages,
    transforms: TransformationSet,
    encoder: Encoder,
    views: int,
    seed: int,
    kinds: tuple[str, ...] = KINDS,
) -> Seen:
    """Draw `views` views of every image, and keep what the sections need.

    Args:
        images: of which.
        transforms: the set.
        encoder: of the features "encoder".
        views: V.
        seed: of the draws.
        kinds: of features.
    """
    features: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in kinds}
    kept, black, constant = [], [], []
    for number in range(views):
        parts: dict[str, list[NDArray[np.float32]]] = {kind: [] for kind in kinds}
        rows = []
        for batch in draw(images, transforms, seed * 1009 + number):
            for kind in kinds:
                parts[kind].append(one_kind(batch.view, kind, encoder))
            shown = in_pixels(images, transforms, batch.rows, batch.view)
            rows.append(dark_and_flat(images.x[torch.from_numpy(batch.rows)], shown))
            if batch.kept is not None:
                kept.append(batch.kept)
        for kind in kinds:
            features[kind].append(np.concatenate(parts[kind]))
        both = torch.cat(rows, dim=1).numpy()
        black.append(both[0])
        constant.append(both[1])
    mass = torch.cat(kept).double().numpy().reshape(views, -1) if kept else None
    return Seen(features, mass, np.stack(black), np.stack(constant))


def as_they_are(images: AuditImages, transforms: TransformationSet, encoder: Encoder) -> Features:
    """Return the features of the images without transformations, prepared as the set has them."""

    def batches() -> Iterator[Tensor]:
        for x in torch.split(images.x, BATCH[images.spatial_dims]):
            yield transforms.prepared(x)

    return features_of(batches(), encoder)


def in_pixels(
    images: AuditImages, transforms: TransformationSet, rows: NDArray[np.intp], view: Tensor
) -> Tensor:
    """Return views on the scale of the images: where these were standardised, that is undone."""
    if not transforms.standardize:
        return view
    x = images.x[torch.from_numpy(rows)].float().flatten(1)
    shape = (-1, *[1] * (view.dim() - 1))
    return view * x.std(dim=1, correction=0).reshape(shape) + x.mean(dim=1).reshape(shape)


def lesions_of(images: AuditImages, seen: Seen) -> Lesions | None:
    """Return whether views keep lesions; None without any."""
    if seen.kept is None or images.mask is None:
        return None
    pixels = images.mask.flatten(1).sum(dim=1).numpy()
    ill = np.flatnonzero(pixels > 0)
    if not len(ill):
        return None
    share = (seen.kept[:, ill] >= KEPT).mean(axis=0)
    diameter = _diameter(pixels[ill], images)
    count = max(1, min(GROUPS, len(ill) // OF_GROUP))
    edges = np.quantile(diameter, np.linspace(0, 1, count + 1)[1:-1])
    number = np.digitize(diameter, np.unique(edges), right=True)
    sizes = [
        LesionSize(
            low=float(diameter[number == group].min()),
            high=float(diameter[number == group].max()),
            images=int((number == group).sum()),
            kept=mean_over_patients(share[number == group], images.patient[ill][number == group]),
        )
        for group in np.unique(number)
    ]
    return Lesions(
        images=len(ill),
        views=len(ill) * len(seen.kept),
        kept=mean_over_patients(share, images.patient[ill]),
        sizes=tuple(sizes),
    )


def blank_of(images: AuditImages, seen: Seen) -> Blank:
    """Return how many views show nothing."""
    share = torch.cat([standing_out(x)[0] for x in torch.split(images.x, 64)])
    return Blank(
        views=seen.black.size,
        black=mean_over_patients(seen.black.mean(axis=0), images.patient),
        constant=mean_over_patients(seen.constant.mean(axis=0), images.patient),
        images=float((share < LEAST).float().mean()),
    )


def mean_over_patients(value: NDArray[np.float64], patient: NDArray[np.str_]) -> Estimate:
    """Return the mean over images, with its interval over patients."""
    group = np.unique(patient, return_inverse=True)[1]
    weights = patient_weights(int(group.max()) + 1)
    total, count = weights @ np.bincount(group, value), weights @ np.bincount(group)
    return estimate(total / count)


def _diameter(pixels: NDArray[np.integer], images: AuditImages) -> NDArray[np.float64]:
    """Diameter of the disc, or ball, of as many pixels, in millimetres where these are known."""
    dims = images.spatial_dims
    size = pixels * float(np.prod(images.spacing_mm or 1.0))
    if dims == 2:
        return np.asarray(2 * np.sqrt(size / np.pi))
    return np.asarray(np.cbrt(6 * size / np.pi))
