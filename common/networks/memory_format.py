"""The memory layout convolutions are fastest in."""

import torch
from torch import Tensor, nn

__all__ = ["FlattenPixels", "use_channels_last"]


class FlattenPixels(nn.Module):
    """Flatten ``(N, C, H, W)`` to ``(N, H W C)``, pixel after pixel.

    `nn.Flatten` goes channel after channel: it copies a channels-last tensor, and the gradient it
    hands back makes the layers before it leave that layout.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows."""
        return x.permute(0, 2, 3, 1).flatten(1)


def use_channels_last(network: nn.Module) -> None:
    """Store the 2D convolution weights of `network` channels-last, in place; values stay.

    Faster in training steps on a CPU, and what tensor cores want on a GPU. Weights of other ranks
    are left alone. The weight of one input channel counts as both layouts, and ``contiguous`` would
    leave its strides; a convolution then takes them for channels-first and hands that layout on,
    hence ``to``.
    """
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
