"""VGG-11, VGG-13 and VGG-16 as encoders (Simonyan and Zisserman, ICLR 2015, Table 1, A, B and D).

Five stages of 3-wide convolutions, each followed by batch normalisation and ReLU, with 64, 128,
256, 512 and 512 channels and a max-pooling after each stage; then the mean over all places. In 2D
the weights lie in memory with the channels last, which is faster and changes nothing else.

Differs from the paper: batch normalisation, as torchvision's ``vgg11_bn`` has it, and the mean for
the three fully connected layers, so that images may have any size of at least 32 pixels.

Paper: https://arxiv.org/abs/1409.1556
"""

from collections.abc import Sequence
from typing import Any

from monai.networks.layers.factories import Conv, Pool
from monai.networks.layers.utils import get_norm_layer
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last

__all__ = ["VGGEncoder"]

STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}  # convolutions of each
CHANNELS = (64, 128, 256, 512, 512)


class VGGEncoder(nn.Module):
    """``x (B, in_channels, *spatial) -> h (B, 512 width)``; see the module.

    Args:
        depth: 11, 13 or 16, the layers with weights in the paper's count.
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        width: of every layer, relative to the paper's; 0.25 is a small network for a CPU.
        norm: a MONAI normalisation: "BATCH", or one within an image, such as ``["GROUP",
            {"num_groups": 4}]``. By batch normalisation MoCo can tell the keys of its own batch
            from those of the queue without looking at the image.
    """

    def __init__(
        self,
        depth: int = 13,
        spatial_dims: int = 2,
        in_channels: int = 3,
        width: float = 1.0,
        norm: str | Sequence[Any] = "BATCH",
    ) -> None:
        super().__init__()
        require(depth in STAGES, f"VGGEncoder: depth must be 11, 13 or 16, got {depth}.")
        require(
            spatial_dims in (2, 3), f"VGGEncoder: spatial_dims must be 2 or 3, got {spatial_dims}."
        )
        require(
            CHANNELS[0] * width >= 1,
            f"VGGEncoder: width must leave a channel of {CHANNELS[0]}, got {width}.",
        )
        convolution: Any = Conv[Conv.CONV, spatial_dims]
        kind = norm if isinstance(norm, str) else tuple(norm)
        pool: Any = Pool[Pool.MAX, spatial_dims]
        layers: list[nn.Module] = []
        before = in_channels
        for count, channels in zip(STAGES[depth], CHANNELS):
            after = int(channels * width)
            for _ in range(count):
                layers += [
                    convolution(before, after, 3, padding=1, bias=False),
                    get_norm_layer(kind, spatial_dims, after),
                    nn.ReLU(inplace=True),
                ]
                before = after
            layers += [pool(2)]
        self.layers = nn.Sequential(*layers)
        self.out_features = before
        for module in self.layers:
            if isinstance(module, convolution):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, out_features)`` of ``x (B, in_channels, *spatial)``."""
        h: Tensor = self.layers(x).flatten(2).mean(dim=2)
        return h
