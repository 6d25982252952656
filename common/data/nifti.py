"""NIfTI and NumPy volumes: canonical orientation, one scale, axial slices.

Axes of a volume are (x, y, z) with x to the patient's right, y to the front and z to the head
(RAS, NIfTI-1 standard, method 2 and 3 of the orientation fields, as nibabel resolves them). A
``.npy`` file has no orientation: its axes are taken as they are.
"""

import gzip
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from isal import igzip
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from common.checks import InputError, require

__all__ = ["axial_slice", "black_share", "load_voxels", "read_nifti", "scale_of"]

Array = npt.NDArray[np.float32]
Voxels = npt.NDArray[Any]

PERCENTILE = 99.5
MAX_NEGATIVE = 0.1


def load_voxels(path: str | Path, allow_black: bool = False) -> Voxels:
    """Voxels of a 3D NIfTI file in RAS order, in their stored type where the file has no scaling.

    Args:
        path: ``.nii`` or ``.nii.gz``; or ``.npy``, whose leading axes of length 1 are dropped.
        allow_black: accept nothing but zeros, as in a segmentation without a lesion.

    Returns:
        (X, Y, Z), finite; a view, so not necessarily contiguous.

    Raises:
        InputError: unreadable or truncated, not 3D, NaN or infinite voxels, nothing but zeros.
    """
    path = Path(path)
    voxels = _array(path) if path.name.lower().endswith(".npy") else _canonical(path)
    require(
        voxels.ndim == 3,
        f"{path.name}: must be one 3D volume, got shape {voxels.shape}. "
        "Split it into 3D files first.",
    )
    require(
        voxels.dtype.kind in "uif",
        f"{path.name}: must hold one number per voxel, got {voxels.dtype}. Save it as grey values.",
    )
    if voxels.dtype.kind == "f":
        require(
            bool(np.isfinite(voxels).all()),
            f"{path.name}: voxels must be finite, got NaN or infinity. "
            "Replace them or leave the volume out.",
        )
    require(
        allow_black or bool(voxels.any()),
        f"{path.name}: must hold an image, got an all-black volume. Leave it out.",
    )
    return voxels


def scale_of(voxels: Voxels, name: str) -> float:
    """The intensity that becomes 1: the 99.5th percentile of the non-zero voxels.

    Args:
        voxels: as `load_voxels` returns them.
        name: what an error calls them.

    Raises:
        InputError: more than a tenth of the non-zero voxels are negative (CT or z-scored).
    """
    inside = voxels[voxels != 0]
    negative = 0.0 if voxels.dtype.kind == "u" else float((inside < 0).mean())
    require(
        negative <= MAX_NEGATIVE,
        f"{name}: intensities must be positive as in MRI, got {negative:.0%} negative voxels. "
        "Use the images before z-scoring; CT is not supported.",
    )
    return float(np.percentile(inside, PERCENTILE))


def read_nifti(path: str | Path) -> Array:
    """A volume scaled to [0, 1], (X, Y, Z) float32; raises as `load_voxels` and `scale_of`."""
    voxels = load_voxels(path)
    scale = scale_of(voxels, Path(path).name)
    return np.asarray(np.clip(voxels.astype(np.float32) / np.float32(scale), 0.0, 1.0))


def axial_slice(volume: Voxels, index: int) -> Voxels:
    """Slice ``volume[..., index]`` as it is looked at: front on top, patient's right on the left.

    Args:
        volume: (X, Y, Z) in RAS order.
        index: along z, 0 nearest the feet.

    Returns:
        (Y, X), a view.
    """
    count = volume.shape[2]
    require(0 <= index < count, f"slice_index must lie in 0..{count - 1}, got {index}.")
    return volume[::-1, ::-1, index].T


def black_share(volume: Voxels) -> npt.NDArray[np.float64]:
    """Share of pixels <= 0 of each axial slice, (Z,) in [0, 1]."""
    return np.asarray((volume <= 0).mean(axis=(0, 1)))


def _array(path: Path) -> Voxels:
    """The array of a ``.npy`` file without leading axes of length 1, as OpenBHB writes them."""
    try:
        voxels = np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. Check the path.") from None
    except (ValueError, OSError, EOFError) as error:
        raise InputError(
            f"{path.name}: must be a whole .npy file of numbers, got an error "
            f"({type(error).__name__}). Copy or export it again."
        ) from None
    while voxels.ndim > 3 and voxels.shape[0] == 1:
        voxels = voxels[0]
    return voxels


def _canonical(path: Path) -> Voxels:
    """Decode the file; every way in which that fails is one line."""
    kind = nibabel.Nifti1Image
    try:
        data = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            data = igzip.decompress(data)  # type: ignore[no-untyped-call]  # partly typed
        if len(data) >= 4 and 540 in (int.from_bytes(data[:4], o) for o in ("little", "big")):
            kind = nibabel.Nifti2Image
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nibabel warns of harmless header oddities
            image = kind.from_stream(BytesIO(data))
            return _to_ras(np.asanyarray(image.dataobj), image.affine)
    except FileNotFoundError:
        raise InputError(f"{path}: must exist, got no such file. Check the path.") from None
    except (EOFError, zlib.error, gzip.BadGzipFile, OSError) as error:
        raise InputError(
            f"{path.name}: must be a whole NIfTI file, got a truncated or damaged one "
            f"({type(error).__name__}). Copy it again."
        ) from None
    except (ImageFileError, HeaderDataError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path.name}: must be a whole NIfTI file, got an error ({reason}). "
            "Copy or export it again."
        ) from None


def _to_ras(voxels: Voxels, affine: npt.NDArray[np.float64]) -> Voxels:
    """Reorder and flip the first three axes so that they run right, front, head."""
    if voxels.ndim < 3:
        return voxels
    flips = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]  # partly typed
    turned = nibabel.apply_orientation(voxels, flips)  # type: ignore[no-untyped-call]
    return np.asarray(turned)
