"""Pictures of an audit: images, views of them, and each transformation from weak to strong.

2D images are one cut; volumes three, through most of the lesion where it lies in that picture, or
through the middle where none is left.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from common.audit.images import AuditImages
from common.audit.seen import in_pixels
from common.audit.sets import Crops, TransformationSet
from common.audit.strength import restricted
from common.audit.views import draw
from common.report.audit.result import Pictures, SetPictures
from common.report.audit.strengths import Scan

__all__ = ["shown_rows", "take_pictures"]

SHOWN, SCANNED, VIEWS = 6, 3, 3
SIDE = 128  # pixels of a picture at most

Cuts = tuple[NDArray[np.uint8], NDArray[np.bool_] | None]


def shown_rows(images: AuditImages) -> NDArray[np.intp]:
    """Return the images to show: with a lesion, of patients of their own, as far as there are."""
    order = np.arange(len(images))
    if images.mask is not None:
        ill = images.mask.flatten(1).any(dim=1).numpy()
        order = np.concatenate([order[ill], order[~ill]])
    elif "label" in images.columns:
        order = np.argsort(_turn(images.columns["label"]), kind="stable")
    first = np.unique(images.patient[order], return_index=True)[1]
    own = np.isin(np.arange(len(order)), first)
    return np.concatenate([order[own], order[~own]])[:SHOWN].astype(np.intp)


def _turn(label: NDArray[np.generic]) -> NDArray[np.intp]:
    """Place of each image among those of its class, so that classes take turns."""
    place = np.zeros(len(label), np.intp)
    for value in np.unique(label):
        here = label == value
        place[here] = np.arange(int(here.sum()))
    return place


def take_pictures(
    images: AuditImages,
    sets: Sequence[TransformationSet],
    scans: Sequence[Sequence[Scan]],
    seed: int,
) -> Pictures:
    """Return the pictures.

    Args:
        images: all of them.
        sets: the sets.
        scans: of each of them.
        seed: of the views.
    """
    few = images.rows(shown_rows(images))
    if few.mask is not None and not bool(few.mask.any()):
        few = replace(few, mask=None)
    places = _places(few.mask, np.full((len(few), few.spatial_dims), 0.5))
    pixels, masks = _cut(few.x.float(), None if few.mask is None else few.mask.float(), places)
    return Pictures(
        images=pixels,
        masks=masks,
        sets=tuple(
            _of_set(few, one, own_scans, places, seed) for one, own_scans in zip(sets, scans)
        ),
    )


def _of_set(
    few: AuditImages,
    transforms: TransformationSet,
    scans: Sequence[Scan],
    places: NDArray[np.float64],
    seed: int,
) -> SetPictures:
    views = [_views(few, transforms, places, seed + number) for number in range(VIEWS)]
    some = few.rows(np.arange(min(SCANNED, len(few))))
    strips = [_strip(some, transforms, scan, places[: len(some)], seed) for scan in scans]
    pixels, masks = _stacked(views)
    return SetPictures(
        views=pixels,
        masks=masks,
        scans=tuple(strip[0] for strip in strips),
        scan_masks=tuple(strip[1] for strip in strips),
    )


def _strip(
    few: AuditImages,
    transforms: TransformationSet,
    scan: Scan,
    places: NDArray[np.float64],
    seed: int,
) -> Cuts:
    kind = next(one for one in transforms.kinds if one.name == scan.member)
    assert not isinstance(kind.transform, Crops)
    steps = []
    for step in scan.steps:  # shown as applied, whatever the probability
        name = scan.transformation
        member = restricted(kind, {name: step.settings}, {name: 1.0})
        steps.append(_views(few, replace(transforms, kinds=(member,)), places, seed))
    return _stacked(steps)


def _stacked(cuts: Sequence[Cuts]) -> Cuts:
    masks = [mask for _, mask in cuts if mask is not None]
    return np.stack([pixels for pixels, _ in cuts], 1), np.stack(masks, 1) if masks else None


def _views(
    few: AuditImages, transforms: TransformationSet, places: NDArray[np.float64], seed: int
) -> Cuts:
    batches = list(draw(few, transforms, seed))
    shown = [in_pixels(few, transforms, b.rows, b.view) for b in batches]
    masks = [b.mask for b in batches if b.mask is not None]
    shape = list(few.x.shape[2:])
    view = torch.cat([_as_large(x, shape) for x in shown])
    mask = torch.cat([_as_large(m, shape) for m in masks]) if masks else None
    return _cut(view, mask, _places(mask, places))


def _as_large(x: Tensor, shape: list[int]) -> Tensor:
    """Views of another size, such as local crops, as large as the images."""
    return x if list(x.shape[2:]) == shape else interpolate(x.float(), shape)


def _places(mask: Tensor | None, otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where to cut each volume, as shares of its sides: where most of the lesion is.

    Args:
        mask: ``(n, 1, *spatial)``, or None.
        otherwise: ``(n, axes)``, where nothing of a lesion is left.
    """
    places = otherwise.copy()
    if mask is None or mask.dim() == 4:
        return places
    for number, lesion in enumerate(mask[:, 0].float().numpy() > 0.5):
        if lesion.any():
            for axis, side in enumerate(lesion.shape):
                of_plane = np.moveaxis(lesion, axis, 0).reshape(side, -1).sum(axis=1)
                places[number, axis] = (int(of_plane.argmax()) + 0.5) / side
    return places


def _cut(x: Tensor, mask: Tensor | None, places: NDArray[np.float64]) -> Cuts:
    """Cuts ``(n, cuts, H, W, C)`` of images or volumes, and of their masks."""
    pixels = _planes(x[:, :3] if x.shape[1] >= 3 else x[:, :1], places)
    bytes_ = (pixels.nan_to_num().clamp(0, 1) * 255).round().byte().movedim(2, -1).numpy()
    if mask is None:
        return bytes_, None
    return bytes_, (_planes(mask.float(), places)[:, :, 0] > 0.5).numpy()


def _planes(x: Tensor, places: NDArray[np.float64]) -> Tensor:
    """``(n, C, *spatial) -> (n, cuts, C, H, W)``: front, head or left up, at most `SIDE` pixels."""
    if x.dim() == 4:
        return _small(x)[:, None]
    side = max(x.shape[2:])
    cuts = []
    for axis in range(3):
        length = x.shape[2 + axis]
        index = [min(length - 1, int(place * length)) for place in places[:, axis]]
        planes = torch.stack([one.select(1 + axis, at) for one, at in zip(x, index)])
        planes = planes.transpose(2, 3).flip(2)  # RAS: the second axis up
        down, across = side - planes.shape[2], side - planes.shape[3]
        edges = (across // 2, across - across // 2, down // 2, down - down // 2)
        cuts.append(_small(pad(planes, edges)))
    return torch.stack(cuts, 1)


def _small(x: Tensor) -> Tensor:
    longest = max(x.shape[2:])
    if longest <= SIDE:
        return x.float()
    shape = [max(1, round(side * SIDE / longest)) for side in x.shape[2:]]
    return interpolate(x.float(), shape, mode="bilinear", antialias=True)
