"""Uniformity on the sphere as CRL-TAC reports it: the mean pairwise Gaussian potential.

``mean over pairs of exp(-t |z - z'|^2)``, t = 2: Wang and Isola 2020 without their logarithm. It is
1 where all vectors are one, and 0.0215 for vectors uniform on the sphere of 50 dimensions.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from common.checks import require

__all__ = ["gaussian_potential"]

_ROWS = 512


def gaussian_potential(z: Tensor | NDArray[Any], t: float = 2.0) -> float:
    """Compute the mean of ``exp(-t d^2)`` over all pairs of different rows.

    Args:
        z: (N, D), N >= 2; unit vectors where the figure is to be compared with the paper's.
        t: above 0; the paper's is 2.

    Returns:
        In [0, 1]; smaller is more uniform.

    >>> gaussian_potential(torch.ones(3, 2))
    1.0
    """
    rows = torch.as_tensor(z).double()
    require(
        rows.dim() == 2 and len(rows) >= 2,
        f"gaussian_potential: z must be (N >= 2, D), got {tuple(rows.shape)}.",
    )
    total = 0.0
    for start in range(0, len(rows), _ROWS):
        distance = torch.cdist(
            rows[start : start + _ROWS], rows, compute_mode="donot_use_mm_for_euclid_dist"
        )
        total += float(torch.exp(-t * distance.square()).sum())
    return (total - len(rows)) / (len(rows) * (len(rows) - 1))
