"""What the values of an image tell without their places: a baseline without an encoder."""

import numpy as np
from numpy.typing import NDArray

from common.evaluation.run_evaluation import Batches

__all__ = ["intensities"]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


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
