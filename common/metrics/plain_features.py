"""What an image tells without an encoder: its pixels, and its values without their places."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from monai.networks.layers.factories import Pool
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["intensities", "pixels"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

Batches = Iterable[Mapping[str, Any]]


def pixels(batches: Batches, side: int | None = None) -> NDArray[np.float32]:
    """Return images averaged down, flat, ``(N, pixels)``; rows of features as they are.

    Args:
        batches: with "image" ``(B, C, *spatial)`` or ``(B, F)``.
        side: most pixels a side; 32 in 2D and 12 in 3D unless given.
    """
    return np.concatenate([_small(batch["image"], side) for batch in batches])


def _small(x: Tensor, side: int | None) -> NDArray[np.float32]:
    if x.ndim == 2:
        return np.asarray(x.float().cpu())
    side = side or (32 if x.ndim == 4 else 12)
    pool = Pool["ADAPTIVEAVG", x.ndim - 2]([min(side, n) for n in x.shape[2:]])
    return np.asarray(pool(x.float()).flatten(1).cpu())


def intensities(batches: Batches) -> NDArray[np.float64]:
    """Return what the values of an image tell without their places.

    Args:
        batches: with "image" ``(B, C, *spatial)``, or rows of features ``(B, F)``.

    Returns:
        Mean, standard deviation and five quantiles (5, 25, 50, 75, 95 %) of each channel, ``(N,
        7 C)``.
    """
    rows = []
    for batch in batches:
        x = batch["image"].double().cpu()
        values = (x.flatten(2) if x.ndim > 2 else x[:, None]).numpy()
        quantiles = np.quantile(values, _QUANTILES, axis=2)
        moments = np.stack([values.mean(axis=2), values.std(axis=2)])
        told = np.concatenate([moments, quantiles])
        rows.append(np.moveaxis(told, 0, 2).reshape(len(values), -1))
    return np.concatenate(rows)
