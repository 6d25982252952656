"""ResNet-50 (He et al., 2016) as an encoder of pictures: the natural-image tables' network.

MONAI's `resnet50` with 1 x 1 convolutions without bias in the shortcuts, as torchvision's and
SupContrast's have them.
"""

from monai.networks.nets import resnet50
from torch import Tensor, nn

from common.networks.memory_format import use_channels_last

__all__ = ["ResNet50Encoder"]


class ResNet50Encoder(nn.Module):
    """MONAI's `resnet50` up to its globally averaged features: ``x -> h (B, 2048)``.

    Args:
        in_channels: channels of the image.
        small_images: for images of about 32 pixels (CIFAR): the first convolution is 3 wide with
            stride 1 instead of 7 wide with stride 2, and no max-pooling follows it, as in
            SupContrast.

    Shapes: ``x (B, in_channels, H, W) -> h (B, 2048)``.
    """

    out_features = 2048

    def __init__(self, in_channels: int = 3, small_images: bool = False) -> None:
        super().__init__()
        self.network: nn.Module = resnet50(
            spatial_dims=2,
            n_input_channels=in_channels,
            conv1_t_size=3 if small_images else 7,
            conv1_t_stride=1 if small_images else 2,
            no_max_pool=small_images,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
        )
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, 2048)`` of ``x (B, in_channels, H, W)``."""
        h: Tensor = self.network(x)
        return h
