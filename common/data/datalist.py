"""What to predict: a folder, one file or a datalist as a list of entries, one a file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.checks import InputError, require
from common.data.feature_table import feature_rows
from common.data.image import OTHERS, is_image, is_volume, why_no_image
from common.data.manifest import MANIFEST, PARTS
from common.data.manifest_tables import open_tables
from common.data.nifti import black_share, load_voxels
from common.data.tables import TABLES
from common.files import below

__all__ = ["MAX_BLACK", "image_datalist", "image_slices"]

MAX_BLACK = 0.8  # paper, section 2.3: "slices with less than 80 % black pixels"


def image_datalist(
    source: str | Path, features: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Entries for every file of `source`, in sorted order, or as JSON lists them.

    Args:
        source: a folder (searched with its subfolders; what is no image is passed over, and an
            image that is not read, such as GIF, meets its reason when it is loaded), one
            image, a JSON file (a manifest or a MONAI datalist), or the folder of a manifest; or a
            table of people, a row each.
        features: what the model's data say of the columns of a table, see
            `common.data.feature_table.feature_rows`.

    Returns:
        ``{"image": path, "name": path relative to the folder}``; from JSON the other keys stay too.

    Raises:
        InputError: no such file, an empty folder, or JSON without entries.
    """
    source = Path(source)
    if (source / MANIFEST).is_file():
        return _from_json(source / MANIFEST)
    if source.is_dir():
        files = _files(source)
        require(
            bool(files),
            f"{source}: must hold images (PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI), got none. "
            "Check the folder.",
        )
        return [{"image": str(path), "name": path.relative_to(source).as_posix()} for path in files]
    if source.suffix.lower() == ".json":
        return _from_json(source)
    require(source.is_file(), f"{source}: must exist, got no such file or folder.")
    if source.suffix.lower() in TABLES:
        return feature_rows(source, features or {})
    return [{"image": str(source), "name": source.name}]


def _files(source: Path) -> list[Path]:
    """Images below a folder, sorted, with the folders that are not looked into.

    Those are locked, or links, which may lead in circles; loading one raises the reason.
    """
    paths: list[Path] = []

    def locked(error: OSError) -> None:
        paths.append(Path(str(error.filename)))

    for folder, folders, names in os.walk(source, onerror=locked):
        paths += [Path(folder, name) for name in folders if Path(folder, name).is_symlink()]
        paths += [path for path in (Path(folder, name) for name in names) if _is_meant(path)]
    return sorted(paths)


def _is_meant(path: Path) -> bool:
    """Whether a file is an image, or looks like one and is to be told why it is not read."""
    if path.name.startswith("."):
        return False
    try:
        if path.exists() and not path.is_file():  # pipes and devices are listed, never opened
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
        content = open_tables(source.parent, content, str(source))
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


def image_slices(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Entries with a "slice" for the axial slices of a volume that 2D networks read.

    Those are less than 80 % black, as in training. Of a file that is no volume, cannot be read, or
    has no such slice, it is -1, and loading it raises the reason.
    """
    first = entry["image"][0] if isinstance(entry["image"], list) else entry["image"]
    if "slice" in entry:
        return [entry]
    whole = {**entry, "slice": -1}
    if "index" in entry or not isinstance(first, str) or not is_volume(first):
        return [whole]
    try:
        share = black_share(load_voxels(first))
    except (InputError, MemoryError):
        return [whole]
    worth = np.flatnonzero(share < MAX_BLACK)
    return [{**entry, "slice": int(index)} for index in worth] or [whole]
