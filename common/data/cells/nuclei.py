"""Where the nuclei of a field are: Otsu's threshold, distance transform, watershed."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from common.checks import InputError, require

__all__ = ["NUCLEUS_PX", "find_nuclei"]

NUCLEUS_PX = 32.0  # diameter of an MCF7 nucleus in BBBC021 (ours: about 30 to 40 pixels)
SMALLEST, LARGEST = 0.25, 4.0  # area, relative to the disc of that diameter
BLUR = 1 / 16  # standard deviation of the smoothing, relative to the diameter
APART = 0.4  # least distance of two nuclei, likewise


def find_nuclei(
    stain: npt.NDArray[np.float32], diameter: float = NUCLEUS_PX
) -> npt.NDArray[np.int64]:
    """Find the nuclei.

    The smoothed stain above Otsu's threshold, holes filled; what touches is parted by a watershed
    of the distance to the background, from its maxima. Pieces far smaller or larger than a nucleus
    are left out.

    Args:
        stain: ``(H, W)`` of the nuclei, bright on dark.
        diameter: of a nucleus in pixels, about; 4 or more.

    Returns:
        Row and column of the centre of mass of each in whole pixels, ``(N, 2)``, from top to
        bottom; none in a field of one value.

    Raises:
        InputError: a diameter out of range, or scikit-image is not installed.
    """
    require(
        4 <= diameter < math.inf,
        f"find_nuclei: diameter must be at least 4 pixels, got {diameter}.",
    )
    skimage = _skimage()
    smooth = ndimage.gaussian_filter(stain.astype(np.float32), diameter * BLUR)
    if smooth.max() <= smooth.min():
        return np.zeros((0, 2), np.int64)
    inside = ndimage.binary_fill_holes(smooth > skimage.filters.threshold_otsu(smooth))
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside), diameter * BLUR)
    pieces, _ = ndimage.label(inside)
    peaks = skimage.feature.peak_local_max(
        depth, min_distance=max(1, round(APART * diameter)), labels=pieces, exclude_border=False
    )
    marks = np.zeros(stain.shape, np.int32)
    marks[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    nuclei = skimage.segmentation.watershed(-depth, marks, mask=inside)
    area = np.bincount(nuclei.ravel(), minlength=len(peaks) + 1)
    disc = math.pi * diameter**2 / 4
    kept = [k for k in range(1, len(area)) if SMALLEST * disc <= area[k] <= LARGEST * disc]
    if not kept:
        return np.zeros((0, 2), np.int64)
    centres = np.rint(ndimage.center_of_mass(inside, nuclei, kept)).astype(np.int64)
    return np.asarray(centres[np.lexsort(centres.T[::-1])])


def _skimage() -> Any:
    try:
        import skimage.feature
        import skimage.filters
        import skimage.segmentation
    except ImportError:
        raise InputError(
            "cells: scikit-image must be installed to find nuclei, got none. pip install "
            '"monai-contrastive-bundles[cells]".'
        ) from None
    return skimage
