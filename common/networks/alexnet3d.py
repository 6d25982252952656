"""AlexNet in 3D (Abrol et al. 2021, "Deep learning encodes robust discriminative neuroimaging").

The small encoder of the brain-age papers: five convolutions, 2,553,728 parameters, 128 features,
the maximum over all positions at the end.

Differs from the code of Barbano et al. (ISBI 2023): nothing known.
"""

import torch
from torch import Tensor, nn

from common.checks import require

__all__ = ["AlexNet3D"]

SMALLEST_SIDE = 33  # one voxel is left after the second pooling


class AlexNet3D(nn.Module):
    """Five 3D convolutions, each with batch normalisation and ReLU: ``x -> h (B, 128)``.

    Args:
        in_channels: channels of the image.

    Shapes: ``x (B, in_channels, D, H, W) -> h (B, 128)``; every side at least 33 voxels.
    """

    out_features = 128

    def __init__(self, in_channels: int = 1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_block(in_channels, 64, kernel_size=5, stride=2),
            nn.MaxPool3d(kernel_size=3, stride=3),
            *_block(64, 128, kernel_size=3),
            nn.MaxPool3d(kernel_size=3, stride=3),
            *_block(128, 192, kernel_size=3, padding=1),
            *_block(192, 192, kernel_size=3, padding=1),
            *_block(192, 128, kernel_size=3, padding=1),
            nn.AdaptiveMaxPool3d(1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, 128)`` of ``x (B, in_channels, D, H, W)``."""
        if not torch.jit.is_scripting():
            require(
                min(x.shape[2:]) >= SMALLEST_SIDE,
                f"AlexNet3D: x must have at least {SMALLEST_SIDE} voxels a side, got "
                f"{tuple(x.shape[2:])}. Pad, resample finer, or use ResNet18Encoder.",
            )
        return torch.flatten(self.layers(x), start_dim=1)


def _block(
    before: int, after: int, kernel_size: int, stride: int = 1, padding: int = 0
) -> tuple[nn.Module, ...]:
    convolution = nn.Conv3d(before, after, kernel_size, stride, padding)
    return convolution, nn.BatchNorm3d(after), nn.ReLU()
