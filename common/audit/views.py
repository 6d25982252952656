"""Views of images as a set makes them, and what becomes of the lesions in them.

A view counts a lesion as kept when at least half of its mass survives, as in the evaluation of a
training (`common.evaluation.audit_transforms`). Where a transformation enlarges a part of the image
the mass is divided by the enlargement, which is measured: the same transformations are applied to
the coordinates.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.audit.images import AuditImages
from common.audit.sets import TransformationSet, ViewKind, subset

__all__ = ["KEPT", "Batch", "draw", "visible_mass"]

KEPT = 0.5  # a lesion counts as kept when at least half of its mass survives
ZOOMING = ("resized_crop", "crop_resize", "center_crop", "pad", "affine")
BATCH = {2: 64, 3: 8}


@dataclass(frozen=True)
class Batch:
    """Views of some of the images.

    Attributes:
        rows: ``(B,)`` numbers of the images.
        x: ``(B, C, *spatial)`` the images, as the transformations get them.
        view: ``(B, C, *spatial')`` the views.
        mask: ``(B, 1, *spatial')`` the lesions in them; None without masks.
        kept: ``(B,)`` share of each lesion's mass that is left; NaN where there is no lesion, None
            without masks.
        lam: ``(B, K)`` parameters of the views.
    """

    rows: NDArray[np.intp]
    x: Tensor
    view: Tensor
    mask: Tensor | None
    kept: Tensor | None
    lam: Tensor


@torch.no_grad()
def draw(images: AuditImages, transforms: TransformationSet, seed: int) -> Iterator[Batch]:
    """Draw one view of every image, in the order of the images.

    Where a set has several kinds of views, each batch has one, drawn by how many views of a
    training step are of it.

    Args:
        images: to transform.
        transforms: the set.
        seed: of the draws; the global generator is left as it was.
    """
    kinds = [kind for kind in transforms.kinds for _ in range(kind.count)]
    size = BATCH[images.spatial_dims] if len(kinds) == 1 else 16
    chooser = np.random.default_rng(seed)
    for number, start in enumerate(range(0, len(images), size)):
        rows = np.arange(start, min(start + size, len(images)))
        kind = kinds[int(chooser.integers(len(kinds)))]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * 100_003 + number)
            yield _batch(images, transforms, kind, rows)


def _batch(
    images: AuditImages, transforms: TransformationSet, kind: ViewKind, rows: NDArray[np.intp]
) -> Batch:
    chosen = torch.from_numpy(rows)
    x = transforms.prepared(images.x[chosen])
    lam = kind.policy(x)
    view = kind.transform(x, lam)
    if images.mask is None:
        return Batch(rows, x, view, None, None, lam)
    mask = images.mask[chosen].float()
    return Batch(rows, x, view, *visible_mass(kind, mask, lam), lam)


def visible_mass(kind: ViewKind, mask: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    """Return moved masks, and the share of each lesion's mass that is left in its view.

    Args:
        kind: of the views.
        mask: ``(B, 1, *spatial)``.
        lam: ``(B, K)``.

    Returns:
        ``(B, 1, *spatial')``, and ``(B,)``: NaN where there is no lesion.
    """
    moved = kind.transform.geometric(mask, lam)
    before, after = mask.flatten(1).sum(dim=1), moved.flatten(1).sum(dim=1)
    scale = torch.ones(len(mask))
    zooming, columns = subset(kind.transform, ZOOMING)
    ill = (before > 0).nonzero().flatten()
    if zooming is not None and len(ill):
        scale[ill] = _enlargement(zooming, mask[ill], lam[ill][:, columns])
    return moved, torch.where(before > 0, after / (before * scale), torch.nan)


def _enlargement(zooming: torch.nn.Module, mask: Tensor, lam: Tensor) -> Tensor:
    """By how much each view enlarges areas (volumes): 1 over the determinant of the coordinates."""
    axes = mask.shape[2:]
    grids = torch.meshgrid(*(torch.arange(side) / side for side in axes), indexing="ij")
    channels = torch.stack([torch.ones(axes), *grids]).expand(len(mask), -1, *axes)
    moved = zooming(channels, lam)
    inside = moved[:, 0] > 0.999
    shape = torch.tensor(axes, dtype=torch.float64)
    slopes = torch.stack(
        [
            torch.stack([_slope(moved[:, 1 + a], inside, 1 + b) for b in range(len(axes))], -1)
            * shape[a]
            for a in range(len(axes))
        ],
        -2,
    )
    determinant: Tensor = torch.linalg.det(slopes).abs()
    return torch.where(determinant > 0, 1 / determinant, 1.0).float()


def _slope(values: Tensor, inside: Tensor, axis: int) -> Tensor:
    """Mean step ``(B,)`` of `values` ``(B, *spatial)`` along an axis, where both ends are inside.

    Only where the step is also smooth: at the edge of what a transformation cut the border is held.
    """
    count = values.shape[axis]
    step = values.narrow(axis, 1, count - 1).double() - values.narrow(axis, 0, count - 1)
    both = inside.narrow(axis, 1, count - 1) & inside.narrow(axis, 0, count - 1)
    total = torch.where(both, step, 0.0).flatten(1).sum(1)
    return total / both.flatten(1).sum(1).clamp(min=1)
