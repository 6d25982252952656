"""The fully convolutional encoder of Ruppli et al. 2022, section 2.3.

"A fully convolutional network composed of four convolution blocks with two convolutional layers in
each block."

Differs from the paper: channels, normalisation and pooling are not stated there; ours doubles the
channels per block (`channels` sets them), uses batch normalisation and ReLU after each convolution,
max-pooling after each of the first three blocks and global average pooling at the end.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last

__all__ = ["ConvEncoder"]


class ConvEncoder(nn.Module):
    """Two convolutions per block, one block per entry of `channels`, then global average pooling.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        channels: output channels of each block; the paper has four blocks.
        norm: a MONAI normalisation name: "BATCH", "INSTANCE" or "GROUP"-style tuple.

    In 2D the weights lie in memory with the channels last, which makes a training step on a CPU
    faster and changes nothing else.

    Shapes: ``x (B, in_channels, *spatial) -> h (B, channels[-1])``; every side at least
    ``2 ** (len(channels) - 1)`` pixels.
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256),
        norm: str | tuple[str, dict[str, int]] | None = "BATCH",
    ) -> None:
        super().__init__()
        require(
            spatial_dims in (2, 3), f"ConvEncoder: spatial_dims must be 2 or 3, got {spatial_dims}."
        )
        self.out_features = channels[-1]
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise([in_channels, *channels])):
            if index:
                layers.append(Pool["MAX", spatial_dims](2))
            for inputs in (before, after):
                layers.append(
                    Convolution(
                        spatial_dims, inputs, after, norm=norm, act="RELU", adn_ordering="NA"
                    )
                )
        self.blocks = nn.Sequential(*layers)
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the representation ``h (B, channels[-1])`` of ``x (B, in_channels, *spatial)``."""
        return torch.flatten(self.blocks(x), start_dim=2).mean(dim=2)
