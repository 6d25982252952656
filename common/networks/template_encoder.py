"""A small encoder of brains on one template's grid, which keeps where each feature was.

Ours. The published encoders end with a pooling over all positions, which forgets the place; on maps
that were registered to one template the place is the anatomy. On 181 brains it was ahead of
encoders that pool (``benchmarks/brain_age_ixi.md``), and a training takes minutes on a CPU.

::

    x -> averaged over 2 voxels -> two strided convolutions -> a grid of positions
      -> dropout -> one linear layer over all of them -> h
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from common.checks import require

__all__ = ["TemplateEncoder"]


class _GridAverage(nn.Module):
    """``nn.AdaptiveAvgPool3d(grid)``, which ONNX has not, one axis after the other."""

    def __init__(self, grid: Sequence[int]) -> None:
        super().__init__()
        self.depth, self.height, self.width = grid

    def forward(self, h: Tensor) -> Tensor:
        h = torch.matmul(h, _weights(h.shape[4], self.width, h))
        h = torch.matmul(_weights(h.shape[3], self.height, h).T, h)
        deep = torch.matmul(_weights(h.shape[2], self.depth, h).T, h.flatten(3))
        return deep.reshape(h.shape[0], h.shape[1], self.depth, h.shape[3], h.shape[4])


def _weights(size: int, parts: int, like: Tensor) -> Tensor:
    """The weight ``(size, parts)`` of each position in the average of each part of an axis."""
    part, position = (torch.arange(n, device=like.device) for n in (parts, size))
    begins, ends = part * size // parts, ((part + 1) * size + parts - 1) // parts
    inside = ((begins <= position[:, None]) & (position[:, None] < ends)).to(like.dtype)
    return inside / inside.sum(0)


class TemplateEncoder(nn.Module):
    """Two strided 3D convolutions and a linear layer over all positions: ``x -> h (B, F)``.

    Args:
        in_channels: channels of the image.
        channels: of each convolution.
        grid: positions that the linear layer tells apart; what the convolutions leave is averaged
            to it. The default is just what they leave of the template at 3 mm, 52 x 64 x 56.
        out_features: F.
        dropout: share of the positions' features that is dropped in training.

    Shapes: ``x (B, in_channels, D, H, W) -> h (B, out_features)``.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (8, 16),
        grid: Sequence[int] = (7, 8, 7),
        out_features: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require(0 <= dropout < 1, f"TemplateEncoder: dropout must be in [0, 1), got {dropout}.")
        self.out_features = out_features
        layers: list[nn.Module] = [nn.AvgPool3d(2, ceil_mode=True)]
        for before, after in pairwise([in_channels, *channels]):
            layers += [
                nn.Conv3d(before, after, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm3d(after),
                nn.ReLU(),
            ]
        positions = channels[-1] * grid[0] * grid[1] * grid[2]
        self.layers = nn.Sequential(
            *layers,
            _GridAverage(grid),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(positions, out_features),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, out_features)`` of ``x (B, in_channels, D, H, W)``."""
        h: Tensor = self.layers(x)
        return h
