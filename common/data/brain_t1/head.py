"""One raw head as an array with the affine of its header: a NIfTI file or one DICOM series."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from common.checks import require
from common.data.brain_t1.series import is_t1, ordered, series_in
from common.data.brain_t1.template import Affine, Array
from common.data.nifti import load_volume
from common.data.reading import reading

__all__ = ["Head", "read_head"]

SMALLEST = 16  # voxels a side
THICKEST_MM = 8.0  # of a voxel
SIDE_MM = (90.0, 600.0)  # of the volume
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

sitk.ProcessObject.GlobalWarningDisplayOff()  # type: ignore[no-untyped-call]  # SWIG


@dataclass(frozen=True)
class Head:
    """A volume and where it lies.

    Args:
        voxels: (X, Y, Z) float32, finite, axes near right, front and head, 0 or more.
        affine: (4, 4), voxels to millimetres of RAS.
    """

    voxels: Array
    affine: Affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Sides of a voxel."""
        x, y, z = (float(side) for side in np.linalg.norm(self.affine[:3, :3], axis=0))
        return x, y, z


def read_head(source: str | Path | Sequence[str | Path]) -> Head:
    """Read a head.

    Args:
        source: a NIfTI file; the files of one DICOM series, in any order; or a folder in which
            exactly one DICOM series is T1-weighted.

    Raises:
        InputError: unreadable, several volumes, NaN, a gap in a series, or no volume of a head's
            size; one line.
    """
    if not isinstance(source, str | Path):
        return _checked(_series([Path(path) for path in source]), "DICOM series")
    path = Path(source)
    if path.is_dir():
        all_series = series_in(path)
        chosen = [series for series in all_series if is_t1(series)] or all_series
        require(
            len(chosen) == 1,
            f"{path.name}: must hold one T1-weighted DICOM series, got {len(chosen)} of "
            f"{len(all_series)}. Give the folder of one series.",
        )
        return _checked(_series(list(chosen[0].files)), path.name)
    return _checked(Head(*load_volume(path)), path.name)


def _series(files: Sequence[Path]) -> Head:
    """Slices sorted along their normal, as GDCM reads them (rescaled), turned into RAS."""
    names = [str(path) for path in ordered(files)]
    with reading(files[0], "DICOM series"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image: Any = sitk.ReadImage(names if len(names) > 1 else names[0])
    require(
        image.GetDimension() == 3 and image.GetNumberOfComponentsPerPixel() == 1,
        f"DICOM series: must be one grey volume, got {image.GetDimension()} dimensions with "
        f"{image.GetNumberOfComponentsPerPixel()} values a voxel. Give the T1-weighted series.",
    )
    image = sitk.DICOMOrient(image, "LPS")  # type: ignore[no-untyped-call]  # SWIG
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    flip = np.diag([-1.0, -1.0, 1.0, 1.0])  # of the first two axes, about their other end
    voxels = sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1]
    flip[:2, 3] = [voxels.shape[0] - 1, voxels.shape[1] - 1]
    return Head(np.asarray(voxels, np.float32), LPS_TO_RAS @ affine @ flip)


def _checked(head: Head, name: str) -> Head:
    voxels, spacing = np.asarray(head.voxels, np.float32), head.spacing_mm
    require(
        bool(np.isfinite(voxels).all()) and float(voxels.min()) < float(voxels.max()),
        f"{name}: must show finite values that differ, got NaN, infinity or one value everywhere. "
        "Export it again or leave it out.",
    )
    sides = [side * count for side, count in zip(spacing, voxels.shape)]
    require(
        min(voxels.shape) >= SMALLEST
        and max(spacing) <= THICKEST_MM
        and SIDE_MM[0] <= min(sides)
        and max(sides) <= SIDE_MM[1],
        f"{name}: must be a volume of a whole head, {SIDE_MM[0]:g} to {SIDE_MM[1]:g} mm a side in "
        f"at least {SMALLEST} slices of at most {THICKEST_MM:g} mm, got {voxels.shape} voxels of "
        f"{' x '.join(f'{side:.2g}' for side in spacing)} mm. Leave it out.",
    )
    return Head(np.maximum(voxels, 0), head.affine)
