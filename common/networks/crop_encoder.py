"""Encoders of crops: the paper's small network, and the representation through a channel.

Koyama et al. 2021, Contrastive Representation Learning with Trainable Augmentation Channel
(CRL-TAC): an image is represented by its crops, ``Z = sum_T P(T | x) f(T x)``.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import FlattenPixels, use_channels_last
from common.networks.unit_length import unit_length
from common.transforms.crop_grid import CropGrid

__all__ = ["ChannelEncoder", "CropEncoder", "encode_crops"]

REPRESENTATIONS = ("features", "projection")
AVERAGES = ("mean", "top")
_IMAGES = 32  # images whose crops are encoded at a time, which bounds ChannelEncoder's memory
_LEAST = 1e-6  # probability below which a crop does not count in the mean


class CropEncoder(nn.Module):
    """Convolutions, average pooling, one linear layer: ``x (N, C, side, side) -> f (N, features)``.

    Weights are PyTorch's, biases start at zero: with PyTorch's own biases, which outweigh a dark
    crop, all crops begin with cosines of 0.995 and the weak temperature of the paper hardly parts
    them.

    Differs from the paper: its Fig. 4 is lost in the text we have; "a three layer CNN with 200
    dimensional output" is built as its Fig. 5, without padding.

    Args:
        side: of a crop in pixels.
        in_channels: channels of a crop.
        channels: output channels of each convolution.
        features: width of the output.

    Attributes:
        border: pixels by which all convolutions together make a side shorter.
    """

    def __init__(
        self,
        side: int = 20,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 32),
        features: int = 200,
    ) -> None:
        super().__init__()
        self.out_features = features
        self.border = 2 * len(channels)
        layers: list[nn.Module] = []
        for before, after in pairwise([in_channels, *channels]):
            layers += [nn.Conv2d(before, after, 3), nn.ReLU(inplace=True)]
        rest = (side - self.border) // 2
        require(rest >= 1, f"CropEncoder: side must be larger for this many layers, got {side}.")
        self.layers = nn.Sequential(
            *layers, nn.AvgPool2d(2), FlattenPixels(), nn.Linear(channels[-1] * rest**2, features)
        )
        zero_biases(self)
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``(N, features)``."""
        out: Tensor = self.layers(x)
        return out

    def windows(self, x: Tensor, image: Tensor, row: Tensor, column: Tensor) -> Tensor:
        """Encode crops that overlap: convolutions go over the whole images once, not over each.

        Exact, for nothing pads the crops; only the linear layer sees them one by one.

        Args:
            x: ``(B, C, H, W)``.
            image: ``(N,)``, of which image each crop is.
            row: ``(N,)``, pixels above a crop; even, as the pooling wants.
            column: ``(N,)``, pixels left of a crop; even.

        Returns:
            ``(N, features)``.
        """
        for layer in list(self.layers)[:-2]:
            x = layer(x)
        linear = cast(nn.Linear, self.layers[-1])
        pixels = x.permute(0, 2, 3, 1)
        height, width, channels = pixels.shape[1:]
        inside = torch.arange(math.isqrt(linear.in_features // channels), device=x.device)
        rows = image[:, None] * height + row[:, None] // 2 + inside
        places = rows[:, :, None] * width + column[:, None, None] // 2 + inside
        read = nn.functional.embedding(places.flatten(1), pixels.reshape(-1, channels))
        out: Tensor = linear(read.flatten(1))
        return out


def zero_biases(network: nn.Module) -> None:
    """Set every bias of linear and convolutional layers to zero."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)


def encode_crops(encoder: nn.Module, grid: CropGrid, x: Tensor, index: Tensor) -> Tensor:
    """Encode the crops numbered ``index (B, m)`` of ``x (B, C, H, W)``: ``(B, m, F)``.

    Equal crops are encoded once: those drawn repeatedly of one image, and all black ones. That is
    exact unless the encoder normalises by the batch, in which case every crop is encoded. Where
    the crops of an image overlap so much that it is cheaper, a `CropEncoder` sees the window around
    them instead; black crops do not widen it.
    """
    if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in encoder.modules()):
        encoded = encoder(grid.gather(x, index).flatten(0, 1))
    else:
        first = len(grid) * torch.arange(len(x), device=x.device)
        number, place = torch.unique(first[:, None] + index, return_inverse=True)
        image, number = number // len(grid), number % len(grid)
        lit = grid.gather(x, number, image).flatten(1).any(dim=1)
        distinct = _encode_distinct(encoder, grid, x, image[lit], number[lit])
        encoded = distinct[(torch.cumsum(lit, dim=0) * lit)[place].flatten()]
    rows: Tensor = encoded.unflatten(0, index.shape)
    return rows


def _encode_distinct(
    encoder: nn.Module, grid: CropGrid, x: Tensor, image: Tensor, number: Tensor
) -> Tensor:
    """Encode a black crop and crops ``number (N,)`` of the images ``image (N,)``: 1 + N rows."""
    place = torch.stack([number // grid.side, number % grid.side])  # counted in strides
    of_image, zeros = image.expand(2, -1), place.new_zeros(2, len(x))
    first = (zeros + grid.side).scatter_reduce(1, of_image, place, "amin")
    reach = (zeros.scatter_reduce(1, of_image, place, "amax") - first).amax(dim=0)
    widest = 0
    if isinstance(encoder, CropEncoder) and grid.stride % 2 == 0:
        widest = _widest_window(encoder, grid, reach, torch.bincount(image, minlength=len(x)))
    whole = (reach > 0) & (reach <= widest)
    shared = whole[image]
    black = x.new_zeros(1, x.shape[1], grid.crop_size, grid.crop_size)
    alone = encoder(torch.cat([black, grid.gather(x, number[~shared], image[~shared])]))
    if not isinstance(encoder, CropEncoder) or widest == 0:
        return cast(Tensor, alone)
    around = CropGrid(grid.image_size, grid.crop_size + grid.stride * widest, grid.stride)
    first = first.clamp_max(around.side - 1)
    window = around.gather(x[whole], (first[0] * around.side + first[1])[whole, None])[:, 0]
    row, column = grid.stride * (place - first[:, image])[:, shared]
    joint = encoder.windows(window, (whole.cumsum(dim=0) - 1)[image[shared]], row, column)
    order = torch.cat([(~shared).nonzero(), shared.nonzero()]).flatten().argsort()
    return torch.cat([alone[:1], torch.cat([alone[1:], joint])[order]])


def _widest_window(encoder: CropEncoder, grid: CropGrid, reach: Tensor, count: Tensor) -> int:
    """Return the largest reach up to which one window costs less than the crops one by one.

    Counted are the pixels that the last convolution computes. All windows are of one size, so that
    they go through the network together; crops of images that reach further go one by one.

    Args:
        encoder: of the crops.
        grid: of the crops.
        reach: ``(B,)``, strides from the first crop of an image to its last, of both directions the
            larger; above 0 where there is more than one.
        count: ``(B,)``, crops of each image.

    Returns:
        The reach; 0 where no image is better off in a window.
    """
    widest = torch.arange(grid.side, device=reach.device)
    pixels = (grid.crop_size - encoder.border + grid.stride * widest) ** 2
    together = (reach[:, None] > 0) & (reach[:, None] <= widest)
    return int(torch.where(together, pixels, count[:, None] * pixels[0]).sum(dim=0).argmin())


class ChannelEncoder(nn.Module):
    """An image as the average of its crops' features under a channel: ``x -> Z``.

    Args:
        encoder: f, ``(N, C, crop, crop) -> (N, F)``, with ``out_features``.
        projector: g, ``(N, F) -> (N, D)``, with ``out_features``; h = g o f at unit length. Its
            biases are set to zero, as those of `CropEncoder`.
        channel: ``x -> log P (B, |T|)`` with a ``grid``: `common.policies.CropChannel`,
            `UniformCrops`, `CellCrops`.
        representation: "features": Z is an average of f, as it is; "projection": of h, at unit
            length.
        average: "mean": weighted by P; crops with P below 1e-6 are left out.
            "top": the plain mean over the `top` most probable crops (the paper's "topn").
        top: number of crops of "top"; the paper's is 8.

    Shapes: ``x (B, C, H, W) -> (B, F)`` or ``(B, D)``.
    """

    def __init__(
        self,
        encoder: nn.Module,
        projector: nn.Module,
        channel: nn.Module,
        representation: str = "features",
        average: str = "mean",
        top: int = 8,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("representation", representation, REPRESENTATIONS),
            ("average", average, AVERAGES),
        ):
            require(
                value in allowed,
                f"ChannelEncoder: {name} must be {' or '.join(map(repr, allowed))}, got {value!r}.",
            )
        self.grid = cast(CropGrid, channel.grid)
        self.crop_size, self.stride = self.grid.crop_size, self.grid.stride  # which can be exported
        self.least, self.images = _LEAST, _IMAGES
        require(
            1 <= top <= len(self.grid),
            f"ChannelEncoder: top must be from 1 to {len(self.grid)} crops, got {top}.",
        )
        self.encoder = encoder
        self.projector = projector
        zero_biases(projector)
        self.channel = channel
        self.representation = representation
        self.average = average
        self.top = top
        last = encoder if representation == "features" else projector
        self.out_features = cast(int, last.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """Return Z of ``x (B, C, H, W)``."""
        if torch.jit.is_scripting():
            return torch.cat([self._of_all_crops(part) for part in torch.split(x, self.images)])
        else:  # the compiler leaves this out
            if torch.compiler.is_exporting():
                return self._of_all_crops(x)
            return torch.cat([self._represent(part) for part in torch.split(x, self.images)])

    def unit(self, x: Tensor, index: Tensor) -> Tensor:
        """Return h of the crops numbered ``index (B, m)`` of `x`: unit vectors ``(B, m, D)``.

        In float32 or wider: in bfloat16 a length of 1 would be missed by some thousandths.
        """
        h = self.projector(encode_crops(self.encoder, self.grid, x, index))
        return unit_length(h.to(torch.promote_types(h.dtype, torch.float32)))

    def _represent(self, x: Tensor) -> Tensor:
        probability = self.channel(x).exp()
        if self.average == "top":
            index = probability.topk(self.top, dim=1).indices
            weight = probability.new_full(index.shape, 1 / self.top)
        else:
            counts = probability > _LEAST
            weight, index = (probability * counts).topk(int(counts.sum(dim=1).max()), dim=1)
        if self.representation == "features":
            f = encode_crops(self.encoder, self.grid, x, index)
            return torch.einsum("bm,bmf->bf", weight, f)
        mean = torch.einsum("bm,bmd->bd", weight, self.unit(x, index))
        return unit_length(mean)

    def _of_all_crops(self, x: Tensor) -> Tensor:
        """Do as `_represent` by encoding every crop: no count depends on the image, so it exports.

        TorchScript and ONNX have no other way; it costs |T| / (crops that count) times as much.
        """
        probability = self.channel(x).exp()
        if self.average == "top":
            index = probability.topk(self.top, dim=1).indices
            probability = torch.zeros_like(probability).scatter(1, index, 1 / self.top)
        else:
            probability = probability * (probability > self.least)
        pixels = nn.functional.unfold(x, self.crop_size, stride=self.stride).transpose(1, 2)
        crops = pixels.reshape(-1, x.shape[1], self.crop_size, self.crop_size)
        z = self.encoder(crops)
        if self.representation == "projection":
            z = unit_length(self.projector(z))
        rows = z.reshape(x.shape[0], -1, z.shape[1])
        mean = (probability[:, :, None] * rows).sum(dim=1)
        return unit_length(mean) if self.representation == "projection" else mean
