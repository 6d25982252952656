"""The MNI152 template (ICBM 2009a, symmetric; nilearn carries it) on the grids of prepared heads.

A grid is a box of `BOX_MM` about the template's brain; all spacings cover the same box. Coordinates
are millimetres to the right, front and head (RAS) of the template's origin.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import affine_transform, gaussian_filter

from common.checks import InputError

__all__ = ["BOX_MM", "Array", "Grid", "Template", "sampled", "template"]

Array = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]

BOX_MM = ((-78.0, 78.0), (-114.0, 78.0), (-78.0, 90.0))  # the brain's is 145 x 181 x 155
FWHM = 2.355  # widths at half height of a Gaussian, in standard deviations


@dataclass(frozen=True)
class Grid:
    """Voxels of `spacing_mm` that fill the box.

    >>> Grid(3.0).shape
    (52, 64, 56)
    """

    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along x, y and z."""
        x, y, z = (round((high - low) / self.spacing_mm) for low, high in BOX_MM)
        return x, y, z

    @property
    def affine(self) -> Affine:
        """(4, 4): voxel to millimetres."""
        affine = np.diag([self.spacing_mm] * 3 + [1.0])
        affine[:3, 3] = [low + self.spacing_mm / 2 for low, _ in BOX_MM]
        return affine


@dataclass(frozen=True)
class Template:
    """The template on one grid.

    Args:
        grid: where it is sampled.
        t1: intensities of its brain in [0, 1], 0 outside.
        brain: where its brain is, bool.
        tissues: (3, X, Y, Z): probabilities of grey matter, white matter and CSF; sum 1 in the
            brain and 0 outside.
    """

    grid: Grid
    t1: Array
    brain: npt.NDArray[np.bool_]
    tissues: Array


@lru_cache(maxsize=4)
def template(spacing_mm: float) -> Template:
    """Sample the template.

    Raises:
        InputError: nilearn is not installed.
    """
    grid = Grid(spacing_mm)
    t1, grey, white, brain = (sampled(volume, affine, grid) for volume, affine in _volumes())
    inside = brain > 0.5
    grey, white = (np.clip(values, 0, 1) for values in (grey, white))
    total = np.maximum(grey + white, 1)
    tissues = np.stack([grey / total, white / total, 1 - (grey + white) / total])
    return Template(grid, t1 * inside, inside, np.asarray(tissues * inside, np.float32))


def sampled(
    volume: npt.NDArray[Any], affine: Affine, grid: Grid, to_volume: Affine | None = None
) -> Array:
    """Sample a volume on a grid, smoothed first along axes that are finer than it.

    Args:
        volume: (X, Y, Z).
        affine: (4, 4), its voxels to millimetres.
        grid: of the result.
        to_volume: (4, 4), the grid's millimetres to the volume's; the identity if None.

    Returns:
        float32 of the grid's shape, 0 outside the volume.
    """
    to_volume = np.eye(4) if to_volume is None else to_volume
    matrix = np.linalg.inv(affine) @ to_volume @ grid.affine  # grid voxel to volume voxel
    steps = np.linalg.norm(matrix[:3, :3], axis=1)  # voxels of the volume in one of the grid
    sigma = np.sqrt(np.maximum(steps**2 - 1, 0)) / FWHM
    smooth = gaussian_filter(np.asarray(volume, np.float32), sigma, mode="nearest", truncate=3)
    return np.asarray(
        affine_transform(smooth, matrix, output_shape=grid.shape, order=1, cval=0.0), np.float32
    )


@lru_cache(maxsize=1)
def _volumes() -> list[tuple[npt.NDArray[Any], Affine]]:
    """T1, grey matter, white matter and brain at 1 mm, with their affines."""
    try:
        from nilearn import datasets
    except ImportError:
        raise InputError(
            'brain_t1: nilearn must be installed, got none. pip install "nilearn>=0.11" or the '
            "extra [brain]."
        ) from None
    images = (
        datasets.load_mni152_template(resolution=1),
        datasets.load_mni152_gm_template(resolution=1),
        datasets.load_mni152_wm_template(resolution=1),
        datasets.load_mni152_brain_mask(resolution=1),
    )
    return [(np.asarray(image.dataobj), np.asarray(image.affine)) for image in images]
