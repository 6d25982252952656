"""NIfTI and NumPy volumes: canonical orientation, one scale, axial slices.

Axes of a volume are (x, y, z) with x to the patient's right, y to the front and z to the head
(RAS, NIfTI-1 standard, method 2 and 3 of the orientation fields, as nibabel resolves them). A
``.npy`` file has no orientation: its axes are taken as they are.
"""

import logging
import math
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.reading import reading

__all__ = [
    "axial_slice",
    "black_share",
    "load_volume",
    "load_voxels",
    "read_nifti",
    "scale_of",
]

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it logs oddities of a header

Array = npt.NDArray[np.float32]
Voxels = npt.NDArray[Any]

PERCENTILE = 99.5
MAX_NEGATIVE = 0.1
LARGEST_BYTES = 2**32  # of the voxels of one volume
HEADER_BYTES = 544  # of NIfTI-2, and more than NIfTI-1 has
CHUNK = 2**20


def load_voxels(path: str | Path, allow_black: bool = False) -> Voxels:
    """Voxels of a 3D NIfTI file in RAS order, in their stored type where the file has no scaling.

    Args:
        path: ``.nii`` or ``.nii.gz``, whose axes after the third must have length 1; or ``.npy``,
            whose leading axes of length 1 are dropped.
        allow_black: accept nothing but zeros, as in a segmentation without a lesion.

    Returns:
        (X, Y, Z), finite; a view, so not necessarily contiguous.

    Raises:
        InputError: unreadable or truncated, not 3D, NaN or infinite voxels, the same value in
            every voxel.
    """
    path = Path(path)
    voxels = _array(path) if path.name.lower().endswith(".npy") else _canonical(path)[0]
    return _checked(voxels, path, allow_black)


def load_volume(path: str | Path) -> tuple[Voxels, npt.NDArray[np.float64]]:
    """Voxels of a 3D NIfTI file in RAS order, as `load_voxels`, and where they lie.

    Returns:
        (X, Y, Z), finite, and (4, 4): voxel to millimetres of RAS.

    Raises:
        InputError: as `load_voxels`, or a file that is no NIfTI.
    """
    path = Path(path)
    voxels, affine = _canonical(path)
    return _checked(voxels, path, allow_black=False), affine


def _checked(voxels: Voxels, path: Path, allow_black: bool) -> Voxels:
    require(
        voxels.ndim == 3,
        f"{path.name}: must be one 3D volume, got shape {voxels.shape}. "
        "Split it into 3D files first.",
    )
    require(
        voxels.dtype.kind in "uif",
        f"{path.name}: must hold one number per voxel, got {voxels.dtype}. Save it as grey values.",
    )
    require(voxels.size > 0, f"{path.name}: must hold voxels, got shape {voxels.shape}.")
    with np.errstate(invalid="ignore"):
        low, high = float(voxels.min()), float(voxels.max())
    require(
        max(abs(low), abs(high)) <= float(np.finfo(np.float32).max),  # false for NaN
        f"{path.name}: voxels must be finite, got NaN or infinity. "
        "Replace them or leave the volume out.",
    )
    content = "an all-black volume" if low == high == 0 else "the same value in every voxel"
    require(
        allow_black or low < high,
        f"{path.name}: must hold an image, got {content}. Leave it out.",
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
    scale = float(np.percentile(inside, PERCENTILE))
    require(
        scale >= float(np.finfo(np.float32).tiny),
        f"{name}: intensities must be positive, got {scale:g} for nearly the brightest. "
        "Export it again.",
    )
    return scale


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
    with reading(path, ".npy file of numbers"):
        voxels = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        while voxels.ndim > 3 and voxels.shape[0] == 1:
            voxels = voxels[0]
        return np.array(voxels)


def _canonical(path: Path) -> tuple[Voxels, npt.NDArray[np.float64]]:
    """Decode the file, with its affine; every way in which that fails is one line."""
    import nibabel  # for those who have NIfTI files
    from nibabel.volumeutils import apply_read_scaling

    with reading(path, "NIfTI file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel warns of harmless header oddities
        with _unpacked(path) as file:
            header = _header(file.read(HEADER_BYTES), path.name)
            shape, dtype = header.get_data_shape(), header.get_data_dtype()
            offset = int(header.get_data_offset())
            needed = offset + math.prod(shape) * dtype.itemsize
            require(
                needed <= LARGEST_BYTES,
                f"{path.name}: must have at most {LARGEST_BYTES // 10**9} GB of voxels, got shape "
                f"{shape}. Copy or export it again.",
            )
            file.seek(0)
            data = _read(file, needed)
        require(
            len(data) >= needed,
            f"{path.name}: must be a whole NIfTI file, got a truncated one: {len(data)} of "
            f"{needed} bytes. Copy it again.",
        )
        with np.errstate(invalid="ignore"):
            affine = header.get_best_affine()
        require(
            bool(np.isfinite(affine).all()) and abs(np.linalg.det(affine[:3, :3])) > 0,
            f"{path.name}: the header must say how the volume lies, got a singular affine. "
            "Export it again.",
        )
        stored = np.ndarray(shape, dtype, data, offset, order="F")
        voxels = _to_ras(apply_read_scaling(stored, *header.get_slope_inter()), affine)
        flips = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]  # partly typed
        back = nibabel.orientations.inv_ornt_aff(flips, (*shape, 1, 1)[:3])  # type: ignore[no-untyped-call]
        return voxels, np.asarray(affine @ back)


def _unpacked(path: Path) -> IO[bytes]:
    """Open the file, decompressed where its content is gzip, whatever its name."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if not packed:
        return path.open("rb")
    from isal import igzip

    opened: IO[bytes] = igzip.open(path, "rb")  # type: ignore[no-untyped-call]
    return opened


def _read(file: IO[bytes], count: int) -> bytes:
    """Read `count` bytes, and what follows up to the end, whose check sum then holds."""
    data = file.read(count)
    rest = 0
    while chunk := file.read(CHUNK):
        rest += len(chunk)
        if rest > LARGEST_BYTES:
            raise ValueError("a file without an end")
    return data


def _header(start: bytes, name: str) -> Any:
    """The header of NIfTI-1 or -2, with a place for the voxels that a single file can have."""
    import nibabel

    sizes = [int.from_bytes(start[:4], order) for order in ("little", "big")]
    kind = nibabel.Nifti2Image if 540 in sizes else nibabel.Nifti1Image
    header = kind.header_class.from_fileobj(  # type: ignore[no-untyped-call]  # partly typed
        BytesIO(start), check=False
    )
    magic = bytes(header["magic"].item())[:3]
    require(
        min(abs(size - header.sizeof_hdr) for size in sizes) == 0 and magic in (b"n+1", b"n+2"),
        f"{name}: must be one NIfTI file with header and voxels, got another. "
        "Convert it to .nii or .nii.gz.",
    )
    offset = float(header["vox_offset"])
    if offset == 0:  # some writers leave it out; voxels cannot lie in the header
        header["vox_offset"] = header.single_vox_offset
    require(
        offset == 0 or header.single_vox_offset <= offset < LARGEST_BYTES,
        f"{name}: voxels must begin at byte {header.single_vox_offset} or later, got "
        f"{offset:g}. Export it again.",
    )
    header.check_fix()
    return header


def _to_ras(voxels: Voxels, affine: npt.NDArray[np.float64]) -> Voxels:
    """Reorder and flip the first three axes so that they run right, front, head."""
    import nibabel

    if voxels.ndim < 3:
        return voxels
    flips = nibabel.io_orientation(affine)  # type: ignore[no-untyped-call]  # partly typed
    turned = nibabel.apply_orientation(voxels, flips)  # type: ignore[no-untyped-call]
    while turned.ndim > 3 and turned.shape[-1] == 1:
        turned = turned[..., 0]
    return np.asarray(turned)
