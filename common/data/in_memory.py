"""Images that a host program hands over in memory (MONAI Deploy, a script), beside those in files.

An array is taken as it lies: ``(H, W)``, ``(C, H, W)`` or ``(H, W, C)`` with up to four channels,
or a volume in RAS order, ``(X, Y, Z)`` or ``(1, X, Y, Z)``. Bytes and 16-bit integers are scaled as
those of a picture, volumes as those of a file; any other numbers must lie in [0, 1] already.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from common.checks import require
from common.data.nifti import axial_slice, black_share, scale_of

__all__ = [
    "as_image",
    "as_values",
    "as_volume",
    "best_slice",
    "holds_volume",
    "in_memory",
    "with_meta",
]

Array = npt.NDArray[np.float32]

NAME = "image in memory"
CHANNELS = 4  # at most, of a picture
WIDEST = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
TOLERANCE = 1e-6


def in_memory(value: Any) -> bool:
    """Whether `value` holds the image itself, not the path of a file."""
    return isinstance(value, np.ndarray | torch.Tensor)


def with_meta(image: torch.Tensor, source: Any) -> torch.Tensor:
    """Return `image` with what `source` knows of where it came from, if that is a `MetaTensor`."""
    return MetaTensor(image, meta=dict(source.meta)) if isinstance(source, MetaTensor) else image


def as_values(value: Any) -> npt.NDArray[Any]:
    """Return the bare numbers.

    Raises:
        InputError: none, or no numbers.
    """
    array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
    require(
        array.size > 0 and array.dtype.kind in "uif",
        f"{NAME}: must hold numbers, got {array.dtype} of shape {array.shape}.",
    )
    return array


def as_volume(value: Any) -> npt.NDArray[Any]:
    """Return a volume ``(X, Y, Z)`` as it is stored.

    Raises:
        InputError: another shape.
    """
    array = as_values(value)
    array = array[0] if array.ndim == 4 and len(array) == 1 else array
    require(
        array.ndim == 3,
        f"{NAME}: must be a volume (X, Y, Z) or (1, X, Y, Z), got shape {array.shape}.",
    )
    return array


def as_image(value: Any, spatial_dims: int, index: int | None = None) -> Array:
    """Return ``(C, *spatial)`` in [0, 1].

    Args:
        value: the array.
        spatial_dims: 2 or 3; in 2D one axial slice of a volume is returned.
        index: which slice; None for the `best_slice`.

    Raises:
        InputError: another shape, or values whose range says nothing.
    """
    array = as_values(value)
    if spatial_dims == 2 and array.ndim == 2:
        return _scaled(array[None])
    if spatial_dims == 2 and array.ndim == 3 and len(array) <= CHANNELS:
        return _scaled(array)
    if spatial_dims == 2 and array.ndim == 3 and array.shape[2] <= CHANNELS:
        return _scaled(np.moveaxis(array, -1, 0))
    stored = as_volume(array)
    volume: Array = np.clip(
        stored.astype(np.float32) / np.float32(scale_of(stored, NAME)), 0.0, 1.0
    )
    if spatial_dims == 3:
        return volume[None]
    number = best_slice(volume) if index is None or index < 0 else int(index)
    return np.ascontiguousarray(axial_slice(volume, number)[None])


def holds_volume(value: Any) -> bool:
    """Return whether an array is a volume to `as_image`, and no picture with its channels."""
    shape = as_values(value).shape
    return len(shape) > 3 or (len(shape) == 3 and min(shape[0], shape[2]) > CHANNELS)


def best_slice(volume: npt.NDArray[Any]) -> int:
    """Return the axial slice that shows most: the least black, the lowest of equals."""
    return int(black_share(volume).argmin())


def _scaled(array: npt.NDArray[Any]) -> Array:
    if array.dtype in WIDEST:
        return array.astype(np.float32) / np.float32(WIDEST[array.dtype])
    low, high = float(array.min()), float(array.max())
    require(
        low >= -TOLERANCE and high <= 1 + TOLERANCE,  # false for NaN
        f"{NAME}: values must be bytes, 16-bit integers or in [0, 1], got {array.dtype} from "
        f"{low:g} to {high:g}. Scale it as the training images were, or give the file.",
    )
    return np.asarray(np.clip(array, 0.0, 1.0), np.float32)
