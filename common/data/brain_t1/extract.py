"""Where the brain is: by `deepbet` (MIT), whose wheel carries its weights, or what is not black."""

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_fill_holes, label

from common.checks import InputError, require
from common.data.brain_t1.template import Array

__all__ = ["brain_mask", "looks_stripped", "stripped_mask"]

Mask = npt.NDArray[np.bool_]
MOST_BRAIN = 0.6  # of the voxels of a stripped volume
LARGEST_ML = 2300.0  # of a brain; a head has twice that
BLACK = 0.95  # of what surrounds a stripped brain


def brain_mask(voxels: Array, name: str) -> Mask:
    """Find the brain of a head.

    Args:
        voxels: (X, Y, Z), axes near right, front and head.
        name: what an error calls the image.

    Raises:
        InputError: no brain is found, or `deepbet` is not installed.
    """
    network = _network()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = network.run_model(np.array(voxels, np.float32)) > 0.5
            mask = np.asarray(network.postprocess(raw), np.bool_)
    except (AssertionError, ValueError, RuntimeError, IndexError):  # an empty mask, as it tells it
        mask = np.zeros(voxels.shape, np.bool_)
    require(
        bool(mask.any()),
        f"{name}: must show a head, got an image in which no brain is found. Leave it out, or give "
        "--stripped if it is a brain already.",
    )
    return mask


def stripped_mask(voxels: Array, name: str) -> Mask:
    """Where a brain on a black background is: the largest piece, its holes filled.

    Raises:
        InputError: too little of the image is black.
    """
    inside = _bright(voxels)
    require(
        bool(inside.any()) and float(inside.mean()) <= MOST_BRAIN,
        f"{name}: must be a brain on a black background for --stripped, got {inside.mean():.0%} of "
        "the voxels bright. Leave --stripped out for whole heads.",
    )
    return _largest(inside)


def looks_stripped(voxels: Array, voxel_ml: float) -> bool:
    """Whether an image shows a brain alone: no larger than one, and exactly black about it."""
    inside = _bright(voxels)
    if not inside.any() or float(inside.mean()) > MOST_BRAIN:
        return False
    brain = _largest(inside)
    black = float((voxels[~brain] == 0).mean())
    return bool(brain.sum() * voxel_ml <= LARGEST_ML and black >= BLACK)


def _bright(voxels: Array) -> Mask:
    """What is brighter than a fiftieth of nearly the brightest."""
    positive = voxels[voxels > 0]
    threshold = 0.02 * float(np.percentile(positive, 98)) if positive.size else 0.0
    return np.asarray(voxels > threshold)


def _largest(inside: Mask) -> Mask:
    """The largest piece, its holes filled."""
    pieces, count = label(inside)
    largest = pieces == (1 + int(np.argmax(np.bincount(pieces.ravel())[1:])) if count > 1 else 1)
    return np.asarray(binary_fill_holes(largest), np.bool_)


@lru_cache(maxsize=1)
def _network() -> Any:
    try:
        from deepbet import BrainExtraction
    except ImportError:
        raise InputError(
            'brain_t1: deepbet must be installed, got none. pip install "deepbet>=1.0.2" or the '
            "extra [brain]; brains that are extracted already need --stripped only."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, its files are not
        return BrainExtraction(no_gpu=True)
