"""DenseNet121 (Huang et al. 2017) as an encoder: for chest X-rays, and in 3D for brains."""

from monai.networks.nets import DenseNet121
from torch import Tensor, nn

from common.networks.memory_format import use_channels_last

__all__ = ["DenseNetEncoder"]


class DenseNetEncoder(nn.Module):
    """MONAI's `DenseNet121` up to its globally averaged features: ``x -> h (B, 1024)``.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        final_norm: keep the batch normalisation and ReLU after the last block. The brain-age code
            (Barbano et al., ISBI 2023) averages the block's output without them: 11,240,576
            parameters in 3D instead of MONAI's 11,242,624.

    In 2D the weights lie in memory with the channels last: a training step on a CPU is faster, and
    nothing else changes.

    Shapes: ``x (B, in_channels, *spatial) -> h (B, 1024)``; every side at least 32 pixels.
    """

    out_features = 1024

    def __init__(
        self, spatial_dims: int = 2, in_channels: int = 1, final_norm: bool = True
    ) -> None:
        super().__init__()
        self.network = DenseNet121(spatial_dims, in_channels, out_channels=1)
        self.network.class_layers.out = nn.Identity()
        if not final_norm:
            self.network.features.norm5 = nn.Identity()
            self.network.class_layers.relu = nn.Identity()
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, 1024)`` of ``x (B, in_channels, *spatial)``."""
        h: Tensor = self.network(x)
        return h
