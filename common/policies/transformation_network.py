"""The transformation network M of Ruppli et al. 2022, § 2.1: the image chooses its parameters."""

from collections.abc import Sequence
from itertools import pairwise

from monai.networks.blocks import Convolution
from monai.networks.layers.factories import Pool
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last

__all__ = ["TransformationNetwork"]


class TransformationNetwork(nn.Module):
    """Convolution, batch normalisation, ReLU and max-pooling per block; pool; linear; sigmoid.

    With ``grid = 1`` (global average pooling, our reading of "fully convolutional") the
    parameters are practically constant over images: a standard deviation of 0.003 to 0.018 was
    observed, already at initialisation, because a mean over thousands of positions hardly differs
    between images and forgets where anything is. ``grid > 1`` averages within ``grid`` cells along
    each axis, so that M sees position and can place the crop: at initialisation, over 64 slices
    of the IXI brains (56 x 68 pixels, mean of 5 seeds), 0.010, 0.016 and 0.023 for a grid of 1, 2
    and 4. Standardising each image first lowered all three, so M takes it as it is.

    Differs from the paper: § 2.3 states two blocks of one convolution and outputs "normalized to
    [0, 1]"; channels, normalisation, pooling and the sigmoid are ours.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        n_parameters: K, outputs; `Composition.n_parameters`.
        channels: output channels of each block; the paper has two blocks.
        grid: cells along each axis that are averaged separately; 1 is global average pooling.
        bounds: the least and the greatest lam. Ours: at 0 or 1 the sigmoid is flat, and a crop in a
            corner shows M nothing that could bring it back.

    In 2D the weights lie in memory with the channels last, which makes M faster on a CPU and
    changes nothing else.

    Shapes: ``x (B, in_channels, *spatial) -> lam (B, n_parameters)`` within the bounds; every side
    at least ``2 ** len(channels)`` pixels.

    Raises:
        InputError: parameters that are NaN, which to a `Composition` would mean "not applied".
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        n_parameters: int = 7,
        channels: Sequence[int] = (16, 32),
        grid: int = 1,
        bounds: Sequence[float] = (0.0, 1.0),
    ) -> None:
        super().__init__()
        name = "TransformationNetwork"
        require(spatial_dims in (2, 3), f"{name}: spatial_dims must be 2 or 3, got {spatial_dims}.")
        require(n_parameters > 0, f"{name}: n_parameters must be positive, got {n_parameters}.")
        require(grid > 0, f"{name}: grid must be positive, got {grid}. 1 is global pooling.")
        require(
            len(bounds) == 2 and 0 <= bounds[0] < bounds[1] <= 1,
            f"{name}: bounds must be two rising numbers in [0, 1], got {list(bounds)}.",
        )
        self.n_parameters = n_parameters
        self.bounds = tuple(bounds)
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, *channels]):
            layers += [
                Convolution(
                    spatial_dims, before, after, norm="BATCH", act="RELU", adn_ordering="NA"
                ),
                Pool["MAX", spatial_dims](2),
            ]
        self.blocks = nn.Sequential(*layers)
        self.pool = Pool["ADAPTIVEAVG", spatial_dims](grid)
        self.head = nn.Linear(channels[-1] * grid**spatial_dims, n_parameters)
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``lam (B, n_parameters)`` for ``x (B, in_channels, *spatial)``."""
        logits: Tensor = self.head(self.pool(self.blocks(x)).flatten(start_dim=1))
        require(
            not bool(logits.isnan().any()),
            "TransformationNetwork: the parameters it chooses must be finite, got NaN. Its weights "
            "or the images are not finite: go back to the last checkpoint and lower its learning "
            "rate.",
        )
        low, high = self.bounds
        return low + (high - low) * logits.sigmoid()
