"""How many directions a representation fills: the effective rank of its rows.

With the singular values s of the centred features and p = s / sum(s), the exponential of the
entropy of p: D where all D directions vary alike, 1 where one does (Roy and Vetterli, EUSIPCO 2007;
Garrido et al., RankMe, ICML 2023, which ranks self-supervised methods by it, without labels).

Differs from RankMe: the mean is taken away, since a constant feature says nothing of an image.

Papers: https://ieeexplore.ieee.org/document/7098875, https://arxiv.org/abs/2210.02885
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require

__all__ = ["effective_rank"]


def effective_rank(h: Tensor | NDArray[Any]) -> float:
    """Compute the effective rank.

    Args:
        h: (N, D), N >= 2 rows.

    Returns:
        Between 1 and the smaller of N - 1 and D; 0 where all rows are one.

    >>> effective_rank(torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    2.0
    """
    rows = np.asarray(torch.as_tensor(h).detach().double())
    require(
        rows.ndim == 2 and len(rows) >= 2 and rows.shape[1] >= 1,
        f"effective_rank: h must be (N >= 2, D), got {rows.shape}.",
    )
    require(bool(np.isfinite(rows).all()), "effective_rank: h must be finite, got NaN or infinite.")
    values = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False)
    if values.max() <= 1e-12 * max(1.0, float(np.abs(rows).max())):
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return round(float(np.exp(-(shares * np.log(shares)).sum())), 9)
