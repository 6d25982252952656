"""How the parameters that a policy chooses spread over images."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["lambda_spread"]

_EDGES = np.linspace(0.0, 1.0, 21)


def lambda_spread(lam: NDArray[np.float64]) -> dict[str, Any]:
    """Return how parameters spread over images.

    Args:
        lam: ``(N, K)``, NaN where a transformation was not applied.

    Returns:
        "lam_mean", "lam_std_over_images" (over the images a transformation was applied to; None
        where to none) and "histogram", with "edges" and K lists of "counts".
    """
    columns = [column[~np.isnan(column)] for column in lam.T]
    return {
        "lam_mean": [float(c.mean()) if c.size else None for c in columns],
        "lam_std_over_images": [float(c.std()) if c.size else None for c in columns],
        "histogram": {
            "edges": _EDGES.tolist(),
            "counts": [np.histogram(c, _EDGES)[0].tolist() for c in columns],
        },
    }
