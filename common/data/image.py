"""One reader for every image: data preparation, training and inference see the same pixels."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.dicom import is_dicom, read_dicom
from common.data.nifti import axial_slice, read_nifti
from common.data.picture import read_picture

__all__ = ["PICTURES", "is_image", "is_picture", "is_volume", "read_image"]

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
VOLUMES = (".nii", ".nii.gz", ".npy")


def is_volume(path: str | Path) -> bool:
    """Whether the name is that of a NIfTI or NumPy file."""
    return Path(path).name.lower().endswith(VOLUMES)


def is_picture(path: str | Path) -> bool:
    """Whether `read_image` reads the file with Pillow: a picture by its name, not DICOM inside."""
    return Path(path).name.lower().endswith((*PICTURES, ".dcm", ".dicom")) and not is_dicom(path)


def is_image(path: str | Path) -> bool:
    """Whether `read_image` takes the file: by its name, or by the DICOM mark inside.

    Hidden files (``._film.dcm`` of macOS) and the index file DICOMDIR are no images.
    """
    name = Path(path).name.lower()
    if name.startswith(".") or name == "dicomdir":
        return False
    return is_volume(path) or name.endswith(PICTURES) or is_dicom(path)


def read_image(path: str | Path, slice_index: int | None = None) -> npt.NDArray[np.float32]:
    """Read a PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI or NumPy (``.npy``) file.

    Args:
        path: the file; one with the DICOM mark is DICOM whatever its name.
        slice_index: for a volume, one axial slice, counted from the feet; None gives the volume.

    Returns:
        (1, H, W), or (1, X, Y, Z) for a volume; float32 in [0, 1].

    Raises:
        InputError: one line that names the file, never a field of a DICOM header.
    """
    require(
        not Path(path).is_dir(),
        f"{Path(path).name}: must be an image, got a folder that is locked or a link. "
        "Unlock it, or give the folder that it leads to.",
    )
    if is_volume(path):
        volume = read_nifti(path)
        return volume[None] if slice_index is None else axial_slice(volume, slice_index)[None]
    require(
        slice_index is None,
        f"{Path(path).name}: slice_index must be left out for a 2D image, got {slice_index}.",
    )
    if is_picture(path):
        return read_picture(path)[None]
    if is_dicom(path):
        return read_dicom(path)[None]
    if not Path(path).exists():
        raise InputError(f"{path}: must exist, got no such file. Check the path.")
    raise InputError(
        f"{Path(path).name}: must be PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI or .npy, got another "
        "type. Convert it or leave it out."
    )
