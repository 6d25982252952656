"""One reader for every image: data preparation, training and inference see the same pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.dicom_mark import is_dicom
from common.data.nifti import axial_slice, read_nifti
from common.data.picture import read_picture

__all__ = [
    "PICTURES",
    "image_kind",
    "is_image",
    "is_picture",
    "is_volume",
    "read_image",
    "why_no_image",
]

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
VOLUMES = (".nii", ".nii.gz", ".npy")
OTHERS = (
    *(*PICTURES, *VOLUMES, ".dcm", ".dicom"),  # not every source reads all of them
    *(".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".jfif", ".jpe", ".tga", ".ppm"),
    *(".pgm", ".pnm", ".pcx", ".psd", ".svs", ".ndpi", ".czi", ".ima"),
    *(".nrrd", ".nhdr", ".mha", ".mhd", ".mgz", ".mgh", ".mnc", ".npz"),
)
MARKS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"GIF8": "GIF",
    b"\0\0\0\x0cjP": "JPEG 2000",
}


def is_volume(path: str | Path) -> bool:
    """Whether the name is that of a NIfTI or NumPy file."""
    return str(path).lower().endswith(VOLUMES)


def is_picture(path: str | Path) -> bool:
    """Whether `read_image` reads the file with Pillow: a picture by its name, not DICOM inside."""
    return image_kind(path) == "picture"


def image_kind(path: str | Path) -> str:
    """What `read_image` reads a file as: "volume", "dicom", "picture", or "" for none of them."""
    if is_volume(path):
        return "volume"
    if is_dicom(path):
        return "dicom"
    return "picture" if str(path).lower().endswith((*PICTURES, ".dcm", ".dicom")) else ""


def is_image(path: str | Path) -> bool:
    """Whether `read_image` takes the file: by its name, or by the DICOM mark inside.

    Hidden files (``._film.dcm`` of macOS) and the index file DICOMDIR are no images.
    """
    name = Path(path).name.lower()
    if name.startswith(".") or name == "dicomdir":
        return False
    return is_volume(path) or name.endswith(PICTURES) or is_dicom(path)


def why_no_image(path: Path) -> str:
    """Why a file that looks like an image, by its name or its content, is not read; else "".

    Args:
        path: a file that is not taken, for instance by `is_image`.
    """
    if path.name.lower().endswith(OTHERS):
        return "an image of a kind or name that is not read here"
    with path.open("rb") as file:
        start = file.read(16)
    kind = next((kind for mark, kind in MARKS.items() if start.startswith(mark)), "")
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        kind = "WebP"
    return f"holds a {kind} picture, but its name does not say so" if kind else ""


def read_image(
    path: str | Path, slice_index: int | None = None, told: dict[str, Any] | None = None
) -> npt.NDArray[np.float32]:
    """Read a PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI or NumPy (``.npy``) file.

    Args:
        path: the file; one with the DICOM mark is DICOM whatever its name.
        slice_index: for a volume, one axial slice, counted from the feet; None gives the volume.
        told: gets what the pixels of a picture tell beside their grey, see `read_picture`.

    Returns:
        (1, H, W), or (1, X, Y, Z) for a volume; float32 in [0, 1].

    Raises:
        InputError: one line that names the file, never a field of a DICOM header.
    """
    require(
        str(path) not in ("", "."),
        "image: must be the path of a file, got an empty one. Name an image that is listed.",
    )
    path = Path(path)
    kind = image_kind(path)
    if kind == "volume":
        volume = read_nifti(path)
        return volume[None] if slice_index is None else axial_slice(volume, slice_index)[None]
    if not kind:
        raise _no_image(path)
    require(
        slice_index is None,
        f"{path.name}: slice_index must be left out for a 2D image, got {slice_index}.",
    )
    if kind == "picture":
        return read_picture(path, told)[None]
    from common.data.dicom import read_dicom  # pydicom and SimpleITK, for those who need them

    return read_dicom(path)[None]


def _no_image(path: Path) -> InputError:
    """Say why a path is none that `read_image` takes."""
    if path.is_dir():
        return InputError(
            f"{path.name}: must be an image, got a folder that is locked or a link. "
            "Unlock it, or give the folder that it leads to."
        )
    if not path.exists():
        return InputError(f"{path}: must exist, got no such file. Check the path.")
    why = why_no_image(path)
    reason = f" ({why})" if why else ""
    return InputError(
        f"{path.name}: must be PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI or .npy, got another "
        f"type{reason}. Convert it or leave it out."
    )
