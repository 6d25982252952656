"""The encoder's own normalisation of images, after whatever transformed them in [0, 1].

The transformations work on images in [0, 1]; papers normalise after them. Inside the network the
normalisation is part of ``models/model.pt`` and cannot be forgotten at inference.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from common.checks import require

__all__ = ["StandardizedEncoder"]


class StandardizedEncoder(nn.Module):
    """An encoder of ``(x - mean) / std``.

    Args:
        encoder: ``x (B, C, ...) -> h (B, F)``, with an attribute ``out_features``.
        mean: one number a channel (a column, where x is a table), or one number for all; None
            standardises every image by its own mean and standard deviation over all its values.
        std: as many numbers, positive; None exactly where `mean` is None.

    Shapes: ``x (B, C, ...) -> h (B, F)``.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        require(
            len(mean or ()) == len(std or ()),
            f"StandardizedEncoder: mean and std must have as many numbers, got {mean} and {std}.",
        )
        require(min(std or (1,)) > 0, f"StandardizedEncoder: std must be positive, got {std}.")
        self.encoder = encoder
        self.out_features: int = encoder.out_features  # type: ignore[assignment]  # nn.Module
        self.register_buffer("mean", torch.tensor(mean or ()))
        self.register_buffer("std", torch.tensor(std or ()))

    def forward(self, x: Tensor) -> Tensor:
        """Return ``h (B, F)`` of ``x (B, C, ...)``; a constant image becomes zeros."""
        shape = [1, -1] + [1] * (x.dim() - 2)
        if len(self.mean) > 0:
            mean, std = self.mean.to(x).reshape(shape), self.std.to(x).reshape(shape)
        else:
            values = x.flatten(1)
            shape[0], shape[1] = -1, 1
            mean = values.mean(dim=1).reshape(shape)
            std = values.std(dim=1, correction=0).reshape(shape).clamp(min=1e-6)
        h: Tensor = self.encoder((x - mean) / std)
        return h
