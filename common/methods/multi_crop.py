"""What DINO's two networks share: groups of views, and passes over views of several sizes."""

from collections.abc import Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks import encode_in_chunks

__all__ = ["MultiCrop", "ViewGroup"]


class ViewGroup(nn.Module):
    """Some views of every image that are drawn alike, such as DINO's eight local crops.

    Args:
        policy: draws the parameters of each view, ``x -> lam``.
        transform: ``(x, lam) -> view``; may give another size than the image's.
        count: number of views.
    """

    def __init__(self, policy: nn.Module, transform: nn.Module, count: int = 1) -> None:
        super().__init__()
        require(count >= 1, f"ViewGroup: count must be at least 1, got {count}.")
        self.policy = policy
        self.transform = transform
        self.count = count

    @torch.no_grad()
    def forward(self, x: Tensor) -> list[Tensor]:
        """Return `count` views ``(B, C, h, w)`` of the images ``x (B, C, H, W)``."""
        return [self.transform(x, self.policy(x)) for _ in range(self.count)]

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"count={self.count}"


class MultiCrop(nn.Module):
    """An encoder and a projection head on views of several sizes.

    Neighbouring views of one size go through the encoder together, and the features of all views
    through the head together, as in facebookresearch/dino, ``MultiCropWrapper``.

    Args:
        encoder: ``(B, C, h, w) -> h (B, F)``.
        head: ``(B, head.in_features) -> z (B, K)``; reads the last columns of h.
    """

    cache_chunk = 0  # images of a part of a pass, see `common.networks.chunks`

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, views: Sequence[Tensor]) -> Tensor:
        """Return ``h (V B, F)`` of V views ``(B, C, h, w)``, all first views first."""
        sizes = groupby(views, key=lambda view: view.shape[2:])
        return torch.cat(
            [
                encode_in_chunks(self.encoder, torch.cat(list(alike)), self.cache_chunk)
                for _, alike in sizes
            ]
        )

    def project(self, h: Tensor) -> Tensor:
        """Return ``z (V B, K)`` of ``h (V B, F)``."""
        z: Tensor = self.head(h[:, -self.head.in_features :])  # type: ignore[operator]  # nn.Module
        return z

    def forward(self, views: Sequence[Tensor]) -> Tensor:
        """Return ``z (V B, K)`` of V views ``(B, C, h, w)``."""
        return self.project(self.encode(views))
