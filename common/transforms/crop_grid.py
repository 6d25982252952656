"""All crops of one size on a grid: the discrete set of transformations T of CRL-TAC.

Crops are numbered row by row, from the top left. `CropGrid` knows where they are; `gather` cuts
the chosen ones out of a batch without a loop, `every` gives all of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from common.checks import require

__all__ = ["CropGrid"]


@dataclass(frozen=True)
class CropGrid:
    """Square crops of a square image at every `stride` pixels.

    Attributes:
        image_size: side of the image in pixels.
        crop_size: side of a crop in pixels.
        stride: pixels between neighbouring crops.

    >>> len(CropGrid(84, 20, 4))
    289
    """

    image_size: int
    crop_size: int
    stride: int

    def __post_init__(self) -> None:
        """Refuse crops that do not fit.

        Raises:
            InputError: a crop larger than the image, or a size below 1.
        """
        require(
            0 < self.crop_size <= self.image_size and self.stride > 0,
            f"CropGrid: crop_size must be from 1 to image_size and stride at least 1, got crops of "
            f"{self.crop_size} every {self.stride} in {self.image_size} pixels.",
        )

    @property
    def side(self) -> int:
        """Crops along one side of the image."""
        return (self.image_size - self.crop_size) // self.stride + 1

    def __len__(self) -> int:
        """Return the number of crops, |T|."""
        return self.side**2

    def windows(self, x: Tensor) -> Tensor:
        """View all crops of ``x (B, C, H, W)`` as ``(B, C, side, side, crop, crop)``, uncopied.

        Raises:
            InputError: images of another size.
        """
        require(
            x.dim() == 4 and x.shape[2:] == (self.image_size, self.image_size),
            f"CropGrid: x must be (B, C, {self.image_size}, {self.image_size}), got "
            f"{tuple(x.shape)}. Resize the images, or set image_size.",
        )
        rows = x.unfold(2, self.crop_size, self.stride)
        return rows.unfold(3, self.crop_size, self.stride)

    def gather(self, x: Tensor, index: Tensor, image: Tensor | None = None) -> Tensor:
        """Cut the crops numbered `index` out of ``x (B, C, H, W)``.

        Args:
            x: images.
            index: ``(B, m)`` crops of each image; or of any shape, with `image`.
            image: of which image each is, shaped as `index`; None for row b of image b.

        Returns:
            ``(*index.shape, C, crop, crop)``, differentiable in `x`.
        """
        if image is None:
            image = torch.arange(len(x), device=x.device)[:, None]
        return self.windows(x)[image, :, index // self.side, index % self.side]

    def every(self, x: Tensor) -> Tensor:
        """Cut all crops: ``(B, |T|, C, crop, crop)``."""
        return self.windows(x).flatten(2, 3).transpose(1, 2)

    def touching(self, mask: Tensor) -> Tensor:
        """Return which crops hold a pixel of ``mask (B, 1, H, W)`` above 0: ``(B, |T|)``, bool."""
        largest = nn.functional.max_pool2d(mask, (self.crop_size, 1), (self.stride, 1))
        largest = nn.functional.max_pool2d(largest, (1, self.crop_size), (1, self.stride))
        return largest.flatten(1) > 0
