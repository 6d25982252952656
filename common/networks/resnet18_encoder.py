"""ResNet-18 (He et al., 2016) as an encoder, 2D and 3D: the brain-age papers' first choice.

MONAI's `resnet18` with the arguments that make it the network of the brain-age code of Barbano et
al. (ISBI 2023): stride 2 in the first convolution, 1 x 1 convolutions without bias in the
shortcuts. Same names of weights, same forward pass, 33,160,000 parameters in 3D.
"""

from monai.networks.nets import resnet18
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last

__all__ = ["ResNet18Encoder"]


class ResNet18Encoder(nn.Module):
    """MONAI's `resnet18` up to its globally averaged features: ``x -> h (B, 512)``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        small_images: for images of about 32 pixels (CIFAR): the first convolution is 3 wide with
            stride 1 instead of 7 wide with stride 2, and no max-pooling follows it, as in the
            SupContrast code that the natural-image experiments extend.
        activation: "relu", He et al.'s, or "tanh".

    In 2D the weights lie in memory with the channels last, which is faster and changes nothing
    else.

    Shapes: ``x (B, in_channels, *spatial) -> h (B, 512)``.
    """

    out_features = 512

    def __init__(
        self,
        spatial_dims: int = 3,
        in_channels: int = 1,
        small_images: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        require(
            spatial_dims in (2, 3),
            f"ResNet18Encoder: spatial_dims must be 2 or 3, got {spatial_dims}.",
        )
        require(
            activation in ("relu", "tanh"),
            f"ResNet18Encoder: activation must be 'relu' or 'tanh', got {activation!r}.",
        )
        self.network: nn.Module = resnet18(
            spatial_dims=spatial_dims,
            n_input_channels=in_channels,
            conv1_t_size=3 if small_images else 7,
            conv1_t_stride=1 if small_images else 2,
            no_max_pool=small_images,
            shortcut_type="B",
            bias_downsample=False,
            feed_forward=False,
            act=("relu", {"inplace": True}) if activation == "relu" else activation,
        )
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, 512)`` of ``x (B, in_channels, *spatial)``."""
        h: Tensor = self.network(x)
        return h
