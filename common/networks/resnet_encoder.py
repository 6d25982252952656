"""ResNet-18 and ResNet-50 (He et al., 2016) as encoders.

MONAI's networks with 1 x 1 convolutions without bias in the shortcuts, as torchvision's and
SupContrast's have them. ResNet-18 is also the brain-age papers' first choice: with stride 2 in the
first convolution it is the network of the code of Barbano et al. (ISBI 2023), with the same names
of weights, the same forward pass and 33,160,000 parameters in 3D.

For images of about 32 pixels (CIFAR) ``small_images`` makes the first convolution 3 wide with
stride 1 instead of 7 wide with stride 2, and no max-pooling follows it, as in the SupContrast code
that the natural-image experiments extend. In 2D the weights lie in memory with the channels last,
which is faster and changes nothing else.
"""

from collections.abc import Callable
from typing import Any

from monai.networks.nets import resnet18, resnet50
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last

__all__ = ["ResNet18Encoder", "ResNet50Encoder"]


class _ResNetEncoder(nn.Module):
    def __init__(self, make: Callable[..., nn.Module], small_images: bool, **settings: Any) -> None:
        super().__init__()
        self.network = make(
            conv1_t_size=3 if small_images else 7,
            conv1_t_stride=1 if small_images else 2,
            no_max_pool=small_images,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
            **settings,
        )
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, out_features)`` of ``x (B, in_channels, *spatial)``."""
        h: Tensor = self.network(x)
        return h


class ResNet18Encoder(_ResNetEncoder):
    """MONAI's `resnet18` up to its globally averaged features.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        small_images: for images of about 32 pixels, see the module.
        activation: "relu", He et al.'s, or "tanh".
        width: of every layer, relative to He et al.'s; 0.25 is a small network for a CPU.

    Shapes: ``x (B, in_channels, *spatial) -> h (B, 512 width)``.
    """

    out_features = 512

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        small_images: bool = False,
        activation: str = "relu",
        width: float = 1.0,
    ) -> None:
        require(
            64 * width >= 1,
            f"ResNet18Encoder: width must leave a channel of 64, got {width}.",
        )
        require(
            spatial_dims in (2, 3),
            f"ResNet18Encoder: spatial_dims must be 2 or 3, got {spatial_dims}.",
        )
        require(
            activation in ("relu", "tanh"),
            f"ResNet18Encoder: activation must be 'relu' or 'tanh', got {activation!r}.",
        )
        super().__init__(
            resnet18,
            small_images,
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            act=("relu", {"inplace": True}) if activation == "relu" else activation,
            widen_factor=width,
        )
        self.out_features = int(512 * width)


class ResNet50Encoder(_ResNetEncoder):
    """MONAI's `resnet50` up to its globally averaged features: ``x -> h (B, 2048)``.

    Args:
        in_channels: channels of the image.
        small_images: for images of about 32 pixels, see the module.

    Shapes: ``x (B, in_channels, H, W) -> h (B, 2048)``.
    """

    out_features = 2048

    def __init__(self, in_channels: int = 3, small_images: bool = False) -> None:
        super().__init__(resnet50, small_images, spatial_dims=2, n_input_channels=in_channels)
