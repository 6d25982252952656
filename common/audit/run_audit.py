"""The audit: images and sets of transformations in, all that was found out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.audit.configured import read_transforms
from common.audit.features import Encoder, check_fits, given_encoder, untrained_encoder
from common.audit.images import AuditImages, Columns, from_arrays
from common.audit.pictures import take_pictures
from common.audit.reading import read_images
from common.audit.sets import TransformationSet, as_set
from common.audit.study import Study
from common.audit.telling import Target
from common.checks import InputError, require
from common.report.audit.result import Audit, ImagesUsed
from common.report.words import listed

__all__ = ["audit", "size_notes"]

TEMPERATURE = 0.1
TOLD = 50  # files that were left out, by name


def audit(
    images: str | Path | AuditImages | Tensor | NDArray[Any],
    transforms: Sequence[Any],
    *,
    columns: Columns | None = None,
    mask: Any = None,
    encoder: str | Path | Encoder | None = None,
    size: int | None = None,
    max_images: int = 2000,
    views: int = 2,
    keep: float = 0.9,
    temperature: float = TEMPERATURE,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Say what transformations do to images.

    Args:
        images: a prepared folder (its training part), a plain folder of images, or arrays
            ``(N, C, *spatial)`` in [0, 1] or bytes, 2D or 3D.
        transforms: sets: a bundle's name or folder, an overlay, a run's folder (see
            `common.audit.configured.read_transforms`), a `Composition`, or a pair of policy and
            `Composition`.
        columns: of arrays, ``(N,)`` each: "label", "patient", "site", "sex", "age", ...
        mask: of arrays, ``(N, 1, *spatial)``, above 0 in the lesion.
        encoder: a model, or an `Encoder`, whose representations are used beside pixels and
            intensities, and for the difficulty; one that nobody trained unless given.
        size: pixels of the longer side; that of the first set's configuration in 2D unless given,
            else of the images, at most 256 (in 3D 96).
        max_images: of a folder; whole patients are drawn until there are as many.
        views: of each image.
        keep: share of the label's information, and of lesions, that the proposal must keep.
        temperature: of the expected InfoNCE.
        seed: of all draws.
        progress: called with a line as each part begins.

    Returns:
        All figures, and pictures; see `common.report.audit.result.Audit`.

    Raises:
        InputError: no image, no set, or a set for images of another kind.
    """
    began, say = time.perf_counter(), progress or (lambda line: None)
    require(len(transforms) > 0, "audit: transforms must name at least one set, got none.")
    require(0 < keep <= 1, f"audit: keep must lie in (0, 1], got {keep}.")
    require(views >= 1, f"audit: views must be at least 1, got {views}.")
    require(temperature > 0, f"audit: temperature must be positive, got {temperature}.")
    require(max_images >= 2, f"audit: max_images must be at least 2, got {max_images}.")
    sets = _sets(transforms, size)
    given = None if encoder is None else _given(encoder)
    say("reading images")
    held = _images(images, columns, mask, sets, size, max_images, seed)
    if held.left_out:
        say(f"left out: {len(held.left_out)} of {held.found} files")
        for line in held.left_out[:TOLD]:
            say(f"left out: {line}")
    sets = _fitted(transforms, sets, held)
    study = Study(held, _fitting(given, held), views, keep, temperature, seed)
    study.notes += (told := [*held.notes, *size_notes(sets, held)])
    for words in told:
        say(words)
    made = []
    for one in sets:
        say(f"looking at {one.name}")
        made.append(study.of(one))
    say("taking pictures")
    pictures = take_pictures(held, sets, [one.scans for one in made], seed)
    return Audit(
        images=_described(held, study.label),
        measurement=study.described(),
        sets=tuple(made),
        notes=tuple(study.notes),
        seconds=time.perf_counter() - began,
        pictures=pictures,
    )


def _given(encoder: str | Path | Encoder) -> Encoder:
    if isinstance(encoder, Encoder):
        return encoder
    try:
        return given_encoder(encoder)
    except InputError as error:
        reason = str(error).split(". ")[0].rstrip(".").removeprefix("bundle: ")
        raise InputError(
            f"--encoder {Path(encoder).name}: {reason}. Name a bundle that has a model, or a "
            "model's folder, or leave --encoder out."
        ) from None


def _fitting(given: Encoder | None, held: AuditImages) -> Encoder:
    channels = held.x.shape[1]
    if given is None:
        return untrained_encoder(held.spatial_dims, channels)
    check_fits(given, held.spatial_dims, channels)
    return given


def _sets(transforms: Sequence[Any], size: int | None) -> list[TransformationSet]:
    sets = [
        read_transforms(given, size) if isinstance(given, str | Path) else as_set(given, "given")
        for given in transforms
    ]
    names: list[str] = []
    for number, one in enumerate(sets):
        again = names.count(one.name)
        names.append(one.name)
        if again:
            sets[number] = replace(one, name=f"{one.name} ({again + 1})")
    return sets


def _images(
    images: Any,
    columns: Columns | None,
    mask: Any,
    sets: Sequence[TransformationSet],
    size: int | None,
    max_images: int,
    seed: int,
) -> AuditImages:
    dims = sets[0].spatial_dims
    if isinstance(images, AuditImages):
        held = images
    elif isinstance(images, str | Path):
        own = size or (sets[0].image_size if dims == 2 else None)
        slices = 2 if dims == 2 else None  # volumes are read by their slices
        held = read_images(images, size=own, spatial_dims=slices, max_images=max_images, seed=seed)
    else:
        held = from_arrays(images, columns, mask)
    for one in sets:
        require(
            one.spatial_dims == held.spatial_dims,
            f"{one.name}: must be for {held.spatial_dims}D images, as those given are, got a set "
            f"for {one.spatial_dims}D. Name another set.",
        )
    require(len(held) >= 4, f"audit: images must be at least 4, got {len(held)}. Give more.")
    return held


def _fitted(
    transforms: Sequence[Any], sets: Sequence[TransformationSet], held: AuditImages
) -> list[TransformationSet]:
    """The sets with settings for the size that the images have, and colours where they need any."""
    side = max(held.x.shape[2:])
    made = []
    for given, one in zip(transforms, sets):
        if isinstance(given, str | Path) and one.image_size not in (None, side):
            one = replace(read_transforms(given, side), name=one.name)
        coloured = [n for k in one.kinds for n in k.transform.order if n in COLOURED]
        require(
            not coloured or held.x.shape[1] == 3,
            f"{one.name}: its {coloured[0] if coloured else ''} must have images of 3 channels, "
            f"got {held.x.shape[1]}. Name a set for grey images.",
        )
        made.append(one)
    return made


def size_notes(sets: Sequence[TransformationSet], held: AuditImages) -> list[str]:
    """Say what size was used, where sets are for several or images were enlarged to it."""
    side = max(held.x.shape[2:])
    own = {one.name: one.image_size for one in sets if one.image_size is not None}
    notes = []
    if any(size != side for size in own.values()):
        told = listed([f"{size} pixels ({name})" for name, size in own.items()])
        notes.append(
            f"Images have {side} pixels on their longer side here, for all sets, whose settings "
            f"were made to fit; their configurations have: {told}."
        )
    if held.stored_side is not None and held.stored_side < side:
        notes.append(
            f"Images of {held.stored_side} pixels on their longer side were enlarged to {side}: "
            "views show no more detail than those have."
        )
    return notes


COLOURED = ("color_jitter", "grayscale")


def _described(images: AuditImages, label: Target | None) -> ImagesUsed:
    ill = 0 if images.mask is None else int(images.mask.flatten(1).any(dim=1).sum())
    shape = tuple(images.x.shape[2:])
    return ImagesUsed(
        source=images.source,
        found=images.found,
        used=len(images),
        sampled=images.sampled,
        skipped=images.skipped,
        spatial_dims=images.spatial_dims,
        channels=images.x.shape[1],
        shape=shape,
        unit="px" if images.spacing_mm is None else "mm",
        spacing=images.spacing_mm or (1.0,) * len(shape),
        patients=len(np.unique(images.patient)),
        patients_known=images.patients_known,
        target=label.name if label else "",
        classes=label.values if label else (),
        class_counts=tuple(np.bincount(label.code).tolist()) if label else (),
        with_lesion=ill,
    )
