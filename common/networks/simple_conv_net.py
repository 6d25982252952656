"""The small convolutional network of the Biased-MNIST experiments (Barbano et al., ICLR 2023).

Four 7 x 7 convolutions, each followed by batch normalisation; ReLU after the first three; then an
activation and global average pooling. It comes from ReBias (Bahng et al., ICML 2020). In the
released code the last ReLU becomes a hyperbolic tangent and the projection head disappears where
the contrastive loss is put on the features themselves (``train_on_head``, their default): the
classifier then reads the features at unit length. There ``unit_length=True, activation="tanh"``;
its cross-entropy comparator is ``unit_length=False, activation="relu"``.

Differs from the released code: nothing known in the network; input normalisation (they read
``(x - 0.5) / 0.5``) is `StandardizedEncoder`'s.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last
from common.networks.unit_length import unit_length

__all__ = ["SimpleConvNet"]

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


class SimpleConvNet(nn.Module):
    """Four wide convolutions at full resolution: ``x (B, C, H, W) -> h (B, channels[-1])``.

    Args:
        in_channels: channels of the image.
        channels: output channels of each convolution.
        kernel_size: side of the convolutions in pixels, odd.
        strides: of each convolution; None is 1 everywhere, at which the image keeps its size.
            Larger ones are ours, for short runs on a CPU.
        activation: "tanh" or "relu", after the last normalisation; the others are ReLU.
        unit_length: divide h by its Euclidean length.

    Shapes: ``x (B, in_channels, H, W) -> h (B, channels[-1])``, any H and W.
    """

    def __init__(
        self,
        in_channels: int = 3,
        channels: Sequence[int] = (16, 32, 64, 128),
        kernel_size: int = 7,
        strides: Sequence[int] | None = None,
        activation: str = "tanh",
        unit_length: bool = False,
    ) -> None:
        super().__init__()
        require(
            activation in ACTIVATIONS,
            f"SimpleConvNet: activation must be 'tanh' or 'relu', got {activation!r}.",
        )
        require(kernel_size % 2 == 1, f"SimpleConvNet: kernel_size must be odd, got {kernel_size}.")
        strides = [1] * len(channels) if strides is None else strides
        require(
            len(strides) == len(channels),
            f"SimpleConvNet: strides must have {len(channels)} numbers, one for each convolution, "
            f"got {list(strides)}.",
        )
        self.out_features = channels[-1]
        self.unit_length = unit_length
        layers: list[nn.Module] = []
        for (before, after), stride in zip(pairwise([in_channels, *channels]), strides):
            layers += [
                nn.Conv2d(before, after, kernel_size, stride, padding=kernel_size // 2),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        layers[-1] = ACTIVATIONS[activation]()
        self.layers = nn.Sequential(*layers)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the representation ``h (B, channels[-1])`` of ``x (B, in_channels, H, W)``."""
        h = torch.flatten(self.layers(x), start_dim=2).mean(dim=2)
        return unit_length(h) if self.unit_length else h
