"""Where a channel that chooses crops looked, as pictures: the image, tinted where crops fall.

The tint is in proportion to the probability that a crop drawn from P(T | x) covers the pixel. It
says what the representation was made of, not why a class was predicted.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from common.checks import require
from common.deploy.attention import attention_overlay, write_overlay
from common.networks import ChannelEncoder, ImageClassifier
from common.transforms import CropGrid

__all__ = ["SaveCropMaps", "coverage"]


def coverage(probability: Tensor, grid: CropGrid) -> Tensor:
    """Return how probable it is that a crop covers each pixel.

    Args:
        probability: ``(B, |T|)``, P(T | x).
        grid: of the crops.

    Returns:
        ``(B, H, W)`` in [0, 1].
    """
    pixels = probability[:, None].expand(-1, grid.crop_size**2, -1)
    side = (grid.image_size, grid.image_size)
    covered = nn.functional.fold(pixels, side, grid.crop_size, stride=grid.stride)
    return covered[:, 0]


class SaveCropMaps:
    """A viewer of a `Predictor` that writes ``crops/<image>.png`` for every image.

    A slice of a volume has its number in the name: ``crops/<volume>_<slice>.png``.

    Args:
        output_dir: folder for the folder "crops".
        network: the classifier, whose encoder is a `ChannelEncoder`.
    """

    def __init__(self, output_dir: str | Path, network: ImageClassifier) -> None:
        require(
            isinstance(network.encoder, ChannelEncoder),
            "SaveCropMaps: network must have a ChannelEncoder, got "
            f"{type(network.encoder).__name__}. Leave the viewer out for other encoders.",
        )
        encoder = cast(ChannelEncoder, network.encoder)
        self.folder = Path(output_dir) / "crops"
        self.grid = encoder.grid
        self._log_probability: list[Tensor] = []
        encoder.channel.register_forward_hook(self._keep)

    def __call__(self, entries: Sequence[Mapping[str, Any]], x: Tensor) -> None:
        """Write the pictures of the images ``(B, C, H, W)`` that the network saw last."""
        covered = coverage(torch.cat(self._log_probability).exp(), self.grid)
        self._log_probability = []
        for entry, image, weights in zip(entries, x, covered, strict=True):
            write_overlay(self.folder, entry, attention_overlay(image, weights))

    def _keep(self, _: nn.Module, __: Any, log_probability: Tensor) -> None:
        self._log_probability.append(log_probability.detach().float().cpu())
