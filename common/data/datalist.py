"""What to predict: a folder, one file or a datalist as a list of entries."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from common.checks import InputError, require
from common.data.image import OTHERS, is_image, is_volume, why_no_image
from common.data.manifest import MANIFEST, PARTS
from common.data.nifti import black_share, load_voxels
from common.files import below

__all__ = ["MAX_BLACK", "image_datalist"]

MAX_BLACK = 0.8  # paper, section 2.3: "slices with less than 80 % black pixels"


def image_datalist(source: str | Path, spatial_dims: int = 2) -> list[dict[str, Any]]:
    """Entries for every image of `source`, in sorted order, or as JSON lists them.

    A NIfTI volume with ``spatial_dims=2`` gives one entry per axial slice that is less than 80 %
    black, as in training. A volume that cannot be read, or has no such slice, gives one entry, so
    that whoever loads it meets the reason.

    Args:
        source: a folder (searched with its subfolders; what is no image is passed over, and an
            image that is not read, such as GIF, meets its reason when it is loaded), one
            image, a JSON file (a manifest or a MONAI datalist), or the folder of a manifest.
        spatial_dims: 2 or 3.

    Returns:
        ``{"image": path, "name": path relative to the folder}``, and in 2D ``"slice"``: the axial
        slice of a volume, -1 for an image that is none, so that entries collate. From JSON the
        other keys stay too.

    Raises:
        InputError: no such file, an empty folder, or JSON without entries.
    """
    require(
        spatial_dims in (2, 3), f"image_datalist: spatial_dims must be 2 or 3, got {spatial_dims}."
    )
    source = Path(source)
    if (source / MANIFEST).is_file():
        entries = _from_json(source / MANIFEST)
    elif source.is_dir():
        files = _files(source)
        require(
            bool(files),
            f"{source}: must hold images (PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI), got none. "
            "Check the folder.",
        )
        entries = [
            {"image": str(path), "name": path.relative_to(source).as_posix()} for path in files
        ]
    elif source.suffix.lower() == ".json":
        entries = _from_json(source)
    else:
        require(source.is_file(), f"{source}: must exist, got no such file or folder.")
        entries = [{"image": str(source), "name": source.name}]
    return [part for entry in entries for part in _slices(entry, spatial_dims)]


def _files(source: Path) -> list[Path]:
    """Images below a folder, sorted, with the folders that are not looked into.

    Those are locked, or links, which may lead in circles; whoever loads one meets the reason.
    """
    found: list[Path] = []

    def locked(error: OSError) -> None:
        found.append(Path(str(error.filename)))

    for folder, folders, names in os.walk(source, onerror=locked):
        found += [Path(folder, name) for name in folders if Path(folder, name).is_symlink()]
        found += [path for path in (Path(folder, name) for name in names) if _is_meant(path)]
    return sorted(found)


def _is_meant(path: Path) -> bool:
    """Whether a file is an image, or looks like one and is to be told why it is not read."""
    if path.name.startswith("."):
        return False
    try:
        if path.exists() and not path.is_file():  # a pipe or a device is only named
            return path.name.lower().endswith(OTHERS)
        return is_image(path) or bool(why_no_image(path))
    except OSError:
        return path.name.lower().endswith(OTHERS)


def _from_json(source: Path) -> list[dict[str, Any]]:
    """Entries of all parts of a manifest or datalist, paths relative to its folder."""
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{source}: must be a JSON datalist, got an error ({type(error).__name__})."
        ) from None
    if isinstance(content, dict):
        content = [entry for part in PARTS for entry in content.get(part, [])]
    entries = [{"image": item} if isinstance(item, str) else item for item in content]
    require(
        bool(entries) and all(isinstance(entry, dict) and "image" in entry for entry in entries),
        f'{source}: must list entries with "image", got none. Give training, validation or test.',
    )
    root = source.parent
    result = []
    for entry in entries:
        images = entry["image"]
        names = [images] if isinstance(images, str) else list(images)
        paths = [str(below(root, str(name), f"{source}: every image")) for name in names]
        image = paths[0] if isinstance(images, str) else paths
        row = f"[{entry['index']}]" if "index" in entry else ""
        result.append({**entry, "image": image, "name": str(entry.get("name", names[0] + row))})
        if "mask" in entry:
            result[-1]["mask"] = str(below(root, str(entry["mask"]), f"{source}: every mask"))
    return result


def _slices(entry: dict[str, Any], spatial_dims: int) -> list[dict[str, Any]]:
    """One entry per slice worth reading, where `entry` is a volume to be read slice by slice."""
    first = entry["image"] if isinstance(entry["image"], str) else entry["image"][0]
    if spatial_dims == 3 or "slice" in entry:
        return [entry]
    whole = {**entry, "slice": -1}
    if "index" in entry or not is_volume(first):
        return [whole]
    try:
        share = black_share(load_voxels(first))
    except (InputError, MemoryError):
        return [whole]
    worth = np.flatnonzero(share < MAX_BLACK)
    return [{**entry, "slice": int(index)} for index in worth] or [whole]
