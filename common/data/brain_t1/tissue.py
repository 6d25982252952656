"""Brightness to tissue: evening out the field, and a mixture of three tissues with their places.

The mixture is one Gaussian each for grey matter, white matter and CSF in brightness, times the
template's probability of that tissue at that place, blurred because an affine transform leaves the
folds where they are. Its means are found in each image anew, so that neither the scanner's scale
nor its contrast decides what a voxel is called.

What the template's brain holds besides grey and white matter counts as CSF, also where the mask of
the image ends: else the third map would draw the outline, which depends on whatever extracted the
brain, and a model would learn that tool.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from common.data.brain_t1.template import Array, Grid, Template

__all__ = ["Mixture", "field", "mixture"]

ITK: Any = sitk  # SWIG, without types
Mask = npt.NDArray[np.bool_]

STEPS_N4 = (50, 50, 30)
SHRUNK_N4 = 2  # the field is smooth; at 6 mm it is found eight times faster
PRIOR_BLUR_MM = 4.0  # standard deviation
PRIOR_FLOOR = 0.02
ROUNDS = 40
NARROWEST = 0.02  # standard deviation of a tissue, of the white matter's brightness


class Mixture(NamedTuple):
    """What became of one image: three tissues, and their brightness."""

    tissues: Array  # (3, X, Y, Z): grey, white, CSF; sum 1 in the template's brain, 0 outside
    means: tuple[float, float, float]


def field(voxels: Array, mask: Mask, grid: Grid) -> Array:
    """Find how the coil brightens a brain, by N4 (Tustison et al. 2010), about 1.

    Args:
        voxels: on a coarse grid, 0 or more.
        mask: its brain.
        grid: of both.
    """
    image = ITK.GetImageFromArray(np.ascontiguousarray(np.where(mask, voxels, 0), np.float32))
    where = ITK.GetImageFromArray(np.ascontiguousarray(mask, np.uint8))
    for volume in (image, where):
        volume.SetSpacing([grid.spacing_mm] * 3)
    n4 = ITK.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(list(STEPS_N4))
    n4.SetConvergenceThreshold(1e-3)
    n4.Execute(*(ITK.Shrink(volume, [SHRUNK_N4] * 3) for volume in (image, where)))
    logarithm: Any = ITK.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image))
    return np.exp(np.asarray(logarithm - logarithm[mask].mean(), np.float32))


def mixture(voxels: Array, mask: Mask, target: Template) -> Mixture:
    """Fit the mixture and return each voxel's probabilities.

    Args:
        voxels: of the template's grid, evened out.
        mask: the brain.
        target: the template on the same grid.
    """
    brightness = np.asarray(voxels[mask], np.float64)
    brightness = brightness / np.percentile(brightness, 95)
    priors = _priors(mask, target)
    start = np.percentile(brightness, [50, 85, 10])
    means, spreads = start, np.full(3, 0.15)
    for _ in range(ROUNDS):
        share = _shares(brightness, priors, means, spreads)
        weight = share.sum(axis=1)
        before, means = means, share @ brightness / weight
        spreads = np.sqrt((share * (brightness - means[:, None]) ** 2).sum(axis=1) / weight)
        spreads = np.maximum(spreads, NARROWEST)
        if np.abs(means - before).max() < 1e-4:
            break
    result = np.zeros((3, *mask.shape), np.float32)
    result[:, mask] = _shares(brightness, priors, means, spreads)
    result *= target.brain
    result[2] = target.brain - result[0] - result[1]
    scale = float(np.percentile(voxels[mask], 95))
    grey, white, fluid = (float(mean) * scale for mean in means)
    return Mixture(result, (grey, white, fluid))


def _priors(mask: Mask, target: Template) -> npt.NDArray[np.float64]:
    """(3, voxels of the mask): blurred probabilities of the tissues by place."""
    blur = PRIOR_BLUR_MM / target.grid.spacing_mm
    smooth = np.stack([gaussian_filter(tissue, blur)[mask] for tissue in target.tissues])
    smooth[2] += 1e-3  # outside the template's brain is CSF
    smooth = np.maximum(smooth / smooth.sum(axis=0), PRIOR_FLOOR)
    return np.asarray(smooth / smooth.sum(axis=0), np.float64)


def _shares(
    brightness: npt.NDArray[np.float64],
    priors: npt.NDArray[np.float64],
    means: npt.NDArray[np.float64],
    spreads: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """(3, voxels): probability of each tissue given brightness and place; a dark voxel is CSF."""
    away = (brightness - means[:, None]) / spreads[:, None]
    log = np.log(priors) - np.log(spreads)[:, None] - 0.5 * np.minimum(away**2, 60)
    share = np.exp(log - log.max(axis=0))
    return np.asarray(share / share.sum(axis=0))
