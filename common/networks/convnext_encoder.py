"""ConvNeXt-Tiny as an encoder (Liu et al., A ConvNet for the 2020s, CVPR 2022, section 2).

A stem of convolutions 4 wide with stride 4, then four stages of 3, 3, 9 and 3 blocks on 96, 192,
384 and 768 channels, halved in size between them, and the mean over all places. A block is::

    x + gamma * (W_2 GELU(W_1 norm(7-wide depthwise convolution of x)))

with layer normalisation over the channels, four times as many channels inside, and gamma learned
from 1e-6. A share of the blocks is passed over while learning (stochastic depth), more in depth.

Differs from the paper: nothing known; in 3D every kernel has a third axis.

Paper: https://arxiv.org/abs/2201.03545
"""

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.layers.factories import Conv
from torch import Tensor, nn

from common.checks import require
from common.networks.memory_format import use_channels_last
from common.networks.vit_blocks import DropPath

__all__ = ["ConvNeXtEncoder"]

_GAMMA = 1e-6  # at the beginning
_EPSILON = 1e-6  # of the normalisations


class ConvNeXtEncoder(nn.Module):
    """``x (B, in_channels, *spatial) -> h (B, channels[-1])``; see the module.

    Args:
        spatial_dims: 2 or 3.
        in_channels: channels of the image.
        small_images: for images of about 32 pixels: a stem 2 wide with stride 2.
        depths: blocks of each stage; ConvNeXt-Tiny's by default.
        channels: of each stage.
        drop_path: share of the last block's passes that are dropped while learning, in [0, 1).
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 3,
        small_images: bool = False,
        depths: Sequence[int] = (3, 3, 9, 3),
        channels: Sequence[int] = (96, 192, 384, 768),
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        require(
            spatial_dims in (2, 3),
            f"ConvNeXtEncoder: spatial_dims must be 2 or 3, got {spatial_dims}.",
        )
        require(
            len(depths) == len(channels) >= 1,
            f"ConvNeXtEncoder: depths and channels must be as many, got {depths} and {channels}.",
        )
        require(
            0 <= drop_path < 1, f"ConvNeXtEncoder: drop_path must be in [0, 1), got {drop_path}."
        )
        self.out_features = channels[-1]
        convolution: Any = Conv[Conv.CONV, spatial_dims]
        blocks = sum(depths)
        rates = [drop_path * index / max(1, blocks - 1) for index in range(blocks)]
        stages: list[nn.Module] = []
        before, side = in_channels, 2 if small_images else 4
        for depth, width in zip(depths, channels):
            smaller = convolution(before, width, kernel_size=side, stride=side)
            norm = _ChannelNorm(width if not stages else before)
            stages += [smaller, norm] if not stages else [norm, smaller]
            stages += [_Block(convolution, width, rates.pop(0)) for _ in range(depth)]
            before, side = width, 2
        self.stages = nn.Sequential(*stages)
        self.norm = nn.LayerNorm(self.out_features, eps=_EPSILON)
        for module in self.modules():
            if isinstance(module, convolution | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        use_channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, out_features)`` of ``x (B, in_channels, *spatial)``."""
        h: Tensor = self.norm(self.stages(x).flatten(2).mean(dim=2))
        return h


class _ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(B, C, *spatial)``, at each place."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=_EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normalised maps."""
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Block(nn.Module):
    """One block; see the module."""

    def __init__(self, convolution: Any, channels: int, drop: float) -> None:
        super().__init__()
        self.depthwise = convolution(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=_EPSILON)
        self.inside = nn.Sequential(
            nn.Linear(channels, 4 * channels), nn.GELU(), nn.Linear(4 * channels, channels)
        )
        self.gamma = nn.Parameter(torch.full((channels,), _GAMMA))
        self.drop = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maps ``(B, C, *spatial)``."""
        inside = self.inside(self.norm(self.depthwise(x).movedim(1, -1)))
        out: Tensor = x + self.drop((self.gamma * inside).movedim(-1, 1))
        return out
