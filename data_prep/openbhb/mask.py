"""The masks of OpenBHB: which voxels a row holds."""

import hashlib
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt

from common.checks import InputError, require
from common.data.nifti import load_voxels

__all__ = ["Mask", "find_mask"]

Array = npt.NDArray[Any]
MASK_FOLDERS = ("", "resource", "resources", "data", "masks", "submissions/starting_kit")


@dataclass(frozen=True)
class Mask:
    """The voxels of a row.

    Args:
        path: of the file.
        threshold: True where the image is greater, unless it is bool.
        turned: brought into RAS order, as NIfTI volumes are.
        orientation: axes such as "LAS", "" if the file does not say.
        voxels: number of True.
    """

    path: Path
    threshold: float
    turned: bool
    orientation: str
    voxels: int = 0

    def read(self) -> npt.NDArray[np.bool_]:
        """(X, Y, Z) bool."""
        if self.turned:
            values: Array = load_voxels(self.path)
        elif self.path.name.lower().endswith(".npy"):
            values = np.load(self.path, allow_pickle=False)
        else:
            values = np.asanyarray(_nifti(self.path).dataobj)
        if values.ndim == 4:  # the first tissue of SPM's probabilities is grey matter
            values = values[..., 0]
        return np.asarray(values if values.dtype == np.bool_ else values > self.threshold)

    def digest(self) -> str:
        """SHA-256 of the voxels."""
        return hashlib.sha256(self.read().tobytes()).hexdigest()

    def as_npy(self) -> bytes:
        """The bytes of a ``.npy`` file."""
        buffer = BytesIO()
        np.save(buffer, np.ascontiguousarray(self.read()))
        return buffer.getvalue()


def find_mask(
    source: Path, name: str, threshold: float, voxels: int | None, given: Path | None, nifti: bool
) -> Mask | None:
    """The mask that was given, or the one of the data set's resources.

    Args:
        source: folder of the data.
        name: file name of the mask's image in the resources.
        threshold: the mask is where that image is greater.
        voxels: of a row; None for whole volumes, which may go without a mask.
        given: file of ``--mask``.
        nifti: the source holds NIfTI volumes, which are read in RAS order.

    Returns:
        The mask; None for whole volumes without one.

    Raises:
        InputError: no mask for rows, or one with another number of voxels.
    """
    candidates = [source / folder / name for folder in MASK_FOLDERS]
    path = given or next((file for file in candidates if file.is_file()), None)
    if path is None:
        require(
            voxels is None,
            f"openbhb: --mask must be given for rows of voxels, got none, and {source} holds no "
            f"{name}. Pass that file of the challenge's starting kit, or a .npy mask of "
            f"{voxels} voxels.",
        )
        return None
    stored = path.name.lower().endswith(".npy")
    try:
        axes = "" if stored else "".join(nibabel.aff2axcodes(_nifti(path).affine))  # type: ignore[no-untyped-call]
        mask = Mask(path, threshold, nifti and not stored, "RAS" if nifti else axes)
        inside = mask.read()
    except InputError:
        raise
    except Exception as error:  # nibabel raises whatever a damaged file makes it meet
        raise InputError(
            f"{path}: mask must be a readable .npy or NIfTI file, got an error "
            f"({type(error).__name__}). Check --mask."
        ) from None
    count = int(inside.sum())
    require(
        inside.ndim == 3 and count > 0 and voxels in (None, count),
        f"{path}: mask must be 3D with {'some' if voxels is None else voxels} voxels, got shape "
        f"{inside.shape} with {count}. Pass the mask the rows were made with.",
    )
    return replace(mask, voxels=count)


def _nifti(path: Path) -> Any:
    return nibabel.load(path)
