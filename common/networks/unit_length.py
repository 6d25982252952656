"""Rows of length 1, as several networks end."""

import torch
from torch import Tensor, nn

__all__ = ["unit_length"]


def unit_length(x: Tensor) -> Tensor:
    """Bring the rows of x (..., D) to length 1; a row of zeros stays zero.

    `torch.nn.functional.normalize` makes zeros of rows longer than 1.8e19 in float32, whose square
    is infinite: a network that has diverged would look like one that has nothing to say.
    """
    largest = x.detach().abs().amax(dim=-1, keepdim=True)
    scale = torch.where(largest > 0, largest, torch.ones_like(largest))  # scripts for export
    return nn.functional.normalize(x / scale, dim=-1)
