"""P(T | X) over a discrete set of crops: the trainable augmentation channel of CRL-TAC.

A channel is ``x (B, C, H, W) -> log P (B, |T|)``. `CropChannel` is the network of the paper's Fig.
5; `UniformCrops` is SimCLR's; `CellCrops` knows where the digit is ("oracle").
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import FlattenPixels, use_channels_last
from common.transforms.crop_grid import CropGrid

__all__ = ["CellCrops", "CropChannel", "UniformCrops", "channel_entropy", "merge_black"]


def channel_entropy(log_probability: Tensor, lit: Tensor | None = None) -> Tensor:
    """Entropy in nats of each row of ``log P (B, |T|)``, exact: ``(B,)``.

    Args:
        log_probability: of the crops.
        lit: ``(B, |T|)``, which crops are not black. None: the entropy H(T | x) of the crop's
            number, as in the paper. Given: the entropy H(T(x) | x) of the crop's content, in which
            black crops, which are equal, count as one with their common probability.
    """
    if lit is not None:
        black = log_probability.masked_fill(lit, -math.inf).logsumexp(dim=1, keepdim=True)
        log_probability = log_probability.masked_fill(~lit, -math.inf)
        log_probability = torch.cat([log_probability, black], dim=1)
    finite = log_probability.clamp_min(-100.0)  # 0 log 0 is 0
    return -(log_probability.exp() * finite).sum(dim=1)


def merge_black(weight: Tensor, lit: Tensor) -> Tensor:
    """Give the weight of all black crops of an image to the first of them.

    Args:
        weight: ``(B, m)``.
        lit: ``(B, m)``, which crops are not black.
    """
    black = ~lit
    first = black & (black.cumsum(dim=1) == 1)
    return torch.where(black, (weight * black).sum(dim=1, keepdim=True) * first, weight)


class CropChannel(nn.Module):
    """The image chooses its crops: convolutions, average pooling, two linear layers, softmax.

    The last layer starts at zero, so that training begins with the uniform channel, which is
    SimCLR's.

    Differs from the paper: Fig. 5 shows the layers without kernel size, padding, or the activation
    between the linear layers; 3, "same" and ReLU are ours, as are `reduction` and the zeros.

    Args:
        grid: the crops.
        in_channels: channels of the image.
        channels: output channels of each convolution.
        features: width of the hidden linear layer.
        reduction: the image is averaged down by this factor first: 1 is the paper's. The choice
            of a place needs little resolution, and the convolutions at full size are nine tenths
            of the cost of a training step.

    Shapes: ``x (B, in_channels, H, W) -> log P (B, |T|)``, H = W = ``grid.image_size``.
    """

    def __init__(
        self,
        grid: CropGrid,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 32),
        features: int = 128,
        reduction: int = 1,
    ) -> None:
        super().__init__()
        require(
            1 <= reduction <= grid.image_size // 2,
            f"CropChannel: reduction must be from 1 to half the image's side, got {reduction}.",
        )
        self.grid = grid
        side = grid.image_size // reduction // 2
        layers: list[nn.Module] = [nn.AvgPool2d(reduction)] if reduction > 1 else []
        for before, after in pairwise([in_channels, *channels]):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        last = nn.Linear(features, len(grid))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(
            *layers,
            nn.AvgPool2d(2),
            FlattenPixels(),
            nn.Linear(channels[-1] * side**2, features),
            nn.ReLU(),
            last,
        )
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``log P(T | x)``, ``(B, |T|)``, in float32 or wider: P is to have a sum of 1."""
        logits: Tensor = self.layers(x)
        if torch.jit.is_scripting():
            return logits.float().log_softmax(dim=1)
        else:  # the compiler leaves this out
            return self._checked(logits)

    def _checked(self, logits: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return logits.log_softmax(dim=1)
        require(
            not bool(logits.isnan().any()),
            "CropChannel: log P must be finite, got NaN. The weights or the images are not finite: "
            "go back to the last checkpoint and lower the learning rate.",
        )
        return logits.log_softmax(dim=1, dtype=torch.promote_types(logits.dtype, torch.float32))


class UniformCrops(nn.Module):
    """Every crop is as likely as any other: SimCLR's channel.

    Args:
        grid: the crops.
    """

    def __init__(self, grid: CropGrid) -> None:
        super().__init__()
        self.grid = grid
        self.count = len(grid)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``log P (B, |T|)``, ``-log |T|`` everywhere."""
        return torch.full((x.shape[0], self.count), -math.log(self.count), device=x.device)


class CellCrops(nn.Module):
    """Uniform over the crops that lie inside the brightest cell: the paper's oracle on grid-MNIST.

    With cells of 28 pixels and crops of 20 every 4, the 9 crops at offsets 0, 4 and 8 in the cell
    that holds the digit.

    Args:
        grid: the crops.
        cell: side of a cell in pixels; divides the image's side.
    """

    def __init__(self, grid: CropGrid, cell: int = 28) -> None:
        super().__init__()
        require(
            grid.image_size % cell == 0 and cell >= grid.crop_size,
            f"CellCrops: cell must divide the image's side {grid.image_size} and hold a crop of "
            f"{grid.crop_size} pixels, got {cell}.",
        )
        self.grid = grid
        self.cell = cell
        start = torch.arange(grid.side) * grid.stride
        inside = start % cell + grid.crop_size <= cell
        row, column = torch.meshgrid(start, start, indexing="ij")
        of_cell = row // cell * (grid.image_size // cell) + column // cell
        of_cell = torch.where(inside[:, None] & inside, of_cell, -1)
        self.of_cell: Tensor
        self.register_buffer("of_cell", of_cell.flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``log P (B, |T|)``, -inf outside the cell."""
        brightest = nn.functional.avg_pool2d(x.mean(dim=1, keepdim=True), self.cell)
        cell = brightest.flatten(1).argmax(dim=1)
        chosen = self.of_cell == cell[:, None]
        log_probability = chosen.float().log()
        return log_probability - log_probability.logsumexp(dim=1, keepdim=True)
