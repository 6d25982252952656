"""Read one's own images: a prepared folder, or a plain folder of images.

Of a prepared folder its training part: nothing that is chosen here may depend on test images. A
file that cannot be read is left out with its reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from common.audit.class_folders import labelled
from common.audit.images import ATTRIBUTES, AuditImages, some_patients
from common.checks import InputError, require
from common.data import (
    ImageFiles,
    LoadMedicalImaged,
    PrepareImaged,
    StackDataset,
    class_names,
    load_datalist,
    read_manifest,
    read_preparation,
)
from common.data.image import is_picture, is_volume
from common.data.nifti import load_volume, load_voxels
from common.report.audit.result import Skipped

__all__ = ["read_images"]

LONGEST = {2: 256, 3: 96}  # pixels of the longer side, unless a size is given
CHUNK = 64


def read_images(
    folder: str | Path,
    *,
    size: int | None = None,
    spatial_dims: int | None = None,
    max_images: int = 2000,
    seed: int = 0,
) -> AuditImages:
    """Read a prepared folder (its training part) or a plain folder of images.

    In a plain folder, folders directly below it with five images or more each name the label,
    where there are 2 to 20 of them and no image lies elsewhere. Where they do not, a note says why.

    Args:
        folder: prepared by `data_prep`, or of PNG, JPEG, TIFF, DICOM or NIfTI files.
        size: pixels of the longer side; as they are, but at most 256 (in 3D 96), unless given.
        spatial_dims: 2 or 3: whether volumes are read as such or by their slices; as volumes
            unless given.
        max_images: whole patients are drawn until there are as many.
        seed: of the draw.

    Raises:
        InputError: no such folder, no image in it, or none that can be read.
    """
    folder = Path(folder)
    prepared = (folder / "manifest.json").is_file()
    manifest = read_manifest(folder) if prepared else {}
    entries, note = (load_datalist(folder, "training"), "") if prepared else labelled(folder)
    require(bool(entries), f"{folder}: must hold images, got none. Check the folder.")
    names = {name: class_names(manifest, name) for name in ("label", *ATTRIBUTES)}
    if not prepared and "label" in entries[0]:
        names["label"] = sorted({str(entry["label"]) for entry in entries})
        entries = [{**e, "label": names["label"].index(str(e["label"]))} for e in entries]
    patients = [str(entry.get("patient", number)) for number, entry in enumerate(entries)]
    chosen = some_patients(patients, max_images, seed).tolist()
    if "index" in entries[0]:
        read = _from_stacks(folder, entries, chosen, size)
    else:
        dims = spatial_dims or (3 if is_volume(_first(entries[0])) else 2)
        read = _from_files(folder, entries, chosen, size, dims)
    return replace(
        read,
        names={name: values for name, values in names.items() if values},
        source=folder.resolve().name,
        found=len(entries),
        sampled=len(chosen) < len(entries),
        patients_known="patient" in entries[0],
        notes=(note,) if note else (),
    )


def _first(entry: Mapping[str, Any]) -> str:
    image = entry["image"]
    return str(image[0] if isinstance(image, list) else image)


def _from_stacks(
    folder: Path, entries: Sequence[dict[str, Any]], chosen: Sequence[int], size: int | None
) -> AuditImages:
    dataset = StackDataset(folder, "training", columns=())
    table = dataset[0]["image"].dim() == 1
    require(not table, f"{folder}: must hold images, got a table. Transformations are of images.")
    stored = max(dataset[0]["image"].shape[1:])
    chunks = [chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK)]
    parts = [_sized(dataset.__getitems__(chunk)["image"], size).half() for chunk in chunks]
    held = _held(torch.cat(parts), None, [entries[number] for number in chosen])
    return replace(held, stored_side=stored)


def _sized(x: Tensor, size: int | None) -> Tensor:
    """Shrink or enlarge images so that the longer side has `size` pixels."""
    longer = max(x.shape[2:])
    wanted = size or min(longer, LONGEST[x.dim() - 2])
    if wanted == longer:
        return x
    shape = [max(1, round(side * wanted / longer)) for side in x.shape[2:]]
    if wanted < longer and x.dim() == 5:
        return interpolate(x, shape, mode="area")
    if x.dim() == 5:
        return interpolate(x, shape, mode="trilinear")
    return interpolate(x, shape, mode="bilinear", antialias=wanted < longer)


def _from_files(
    folder: Path,
    entries: Sequence[dict[str, Any]],
    chosen: Sequence[int],
    size: int | None,
    dims: int,
) -> AuditImages:
    load = _volumes(size) if dims == 3 else _pictures(folder, entries, size)
    files = ImageFiles([entries[number] for number in chosen], load, spatial_dims=dims)
    read: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    for place, number in enumerate(chosen):
        for part in files[place]:
            if "reason" in part:
                skipped.append(Skipped(number + 1, _nameless(part)))
            else:
                read.append({**part, "number": number})
    require(
        bool(read),
        f"{folder}: must hold images that can be read, got none of {len(chosen)}: "
        f"{skipped[0].reason if skipped else ''}",
    )
    shapes = [tuple(part["image"].shape[1:]) for part in read]
    usual = max(set(shapes), key=shapes.count)
    for part, shape in zip(read, shapes):
        if shape != usual:
            reason = f"must have the shape {usual} of most images, got {shape}."
            skipped.append(Skipped(part["number"] + 1, reason))
    read = [part for part, shape in zip(read, shapes) if shape == usual]
    channels = max(len(part["image"]) for part in read)
    x = torch.stack([_rgb(part["image"], channels) for part in read]).half()
    held = _held(x, _masks(read), read)
    told = tuple(f"{_first(entries[one.number - 1])} ({one.reason})" for one in skipped)
    spacing = _spacing(read, usual, dims)
    return replace(held, skipped=tuple(skipped), left_out=told, spacing_mm=spacing)


def _pictures(
    folder: Path, entries: Sequence[dict[str, Any]], size: int | None
) -> Callable[[Any], Any]:
    preparation = read_preparation(folder, "photo" if _coloured(entries) else "grey")
    reader = PrepareImaged(
        "image", size or _own_size(entries, preparation), preparation, masks="mask"
    )

    def load(entry: Any) -> dict[Any, Any]:
        return {**reader(entry), **_sides(entry)}

    return load


def _volumes(size: int | None) -> Callable[[Any], Any]:
    reader = LoadMedicalImaged("image", spatial_dims=3)

    def load(entry: Any) -> dict[Any, Any]:
        read = reader(entry)
        parts = {"image": torch.as_tensor(read["image"])}
        if "mask" in entry:  # whatever its labels are; without a lesion it is empty
            lesion = load_voxels(entry["mask"], allow_black=True) > 0
            parts["mask"] = torch.from_numpy(lesion[None].astype(np.float32))
        return {**read, **{key: _sized(part[None], size)[0] for key, part in parts.items()}}

    return load


def _coloured(entries: Sequence[dict[str, Any]]) -> bool:
    """Whether the first picture that opens has colours, not only three channels."""
    for entry in entries:
        first = _first(entry)
        if not is_picture(first):
            return False
        try:
            with Image.open(first) as picture:
                pixels = np.asarray(picture.convert("RGB").resize((64, 64)), np.int16)
        except (OSError, ValueError):
            continue
        return bool((pixels.max(axis=2) - pixels.min(axis=2)).mean() > 1)
    return False


def _own_size(entries: Sequence[dict[str, Any]], preparation: Mapping[str, Any]) -> int:
    """The longer side of the first image that can be read, at most `LONGEST`."""
    probe = LoadMedicalImaged(spatial_dims=2)
    for entry in entries:
        sides = _sides(entry)
        if not sides:
            try:
                image = probe({"image": entry["image"]})["image"]
            except (InputError, OSError):
                continue
            sides = {"height": image.shape[1], "width": image.shape[2]}
        kind = max if preparation["kind"] == "grey" else min  # the others are cut to a square
        return min(kind(sides.values()), LONGEST[2])
    return LONGEST[2]


def _sides(entry: Mapping[str, Any]) -> dict[str, int]:
    """Sides of a picture's file in pixels; none of what is no picture."""
    first = _first(entry)
    if not is_picture(first):
        return {}
    try:
        with Image.open(first) as picture:
            return {"height": picture.height, "width": picture.width}
    except OSError:
        return {}


def _rgb(image: Any, channels: int) -> Tensor:
    tensor = torch.as_tensor(np.asarray(image))
    return tensor if len(tensor) == channels else tensor[:1].expand(channels, *tensor.shape[1:])


def _masks(read: Sequence[Mapping[str, Any]]) -> Tensor | None:
    if not any("mask" in part for part in read):
        return None
    empty = torch.zeros(1, *read[0]["image"].shape[1:])
    masks = [torch.as_tensor(np.asarray(part.get("mask", empty)))[:1] for part in read]
    return torch.stack(masks) > 0.5


def _nameless(part: Mapping[str, Any]) -> str:
    """Why a file was left out, in a line that does not name it: a name may be a patient's."""
    reason = str(part["reason"])
    image = part.get("source", part["image"])
    files = [*(image if isinstance(image, list) else [image]), part.get("mask", image)]
    for path in [Path(file) for file in files if isinstance(file, str | Path)]:
        for text in (str(path), path.as_posix(), str(part.get("name")), path.name):
            reason = reason.replace(text, "the file")
    return reason.removeprefix("the file: ")


def _spacing(
    read: Sequence[Mapping[str, Any]], shape: tuple[int, ...], dims: int
) -> tuple[float, ...] | None:
    """Millimetres of a pixel, of the first volume; a picture does not say."""
    source = read[0].get("source")
    first = source[0] if isinstance(source, list) else source
    if dims == 2 or not isinstance(first, str) or not is_volume(first):
        return None
    voxels, affine = load_volume(first)
    sides = np.linalg.norm(affine[:3, :3], axis=0) * np.array(voxels.shape) / np.array(shape)
    return tuple(float(side) for side in sides)


def _held(x: Tensor, mask: Tensor | None, entries: Sequence[Mapping[str, Any]]) -> AuditImages:
    known = {key for entry in entries for key in entry}
    patient = [str(entry.get("patient", number)) for number, entry in enumerate(entries)]
    columns = {
        name: np.asarray(
            [np.nan if (value := entry.get(name)) is None else value for entry in entries]
        )
        for name in ("label", *ATTRIBUTES)
        if name in known
    }
    longer = (max(entry.get("height") or 0, entry.get("width") or 0) for entry in entries)
    sides = [side for side in longer if side > 0]
    return AuditImages(
        x=x,
        mask=mask,
        patient=np.asarray(patient).astype(np.str_),
        columns=columns,
        names={},
        source="",
        found=len(x),
        sampled=False,
        patients_known=False,
        stored_side=int(np.median(sides)) if sides else None,
    )
