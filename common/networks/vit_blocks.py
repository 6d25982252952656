"""The blocks of a vision transformer (Dosovitskiy et al., 2021), as DINO's code has them.

Their parameters have the names of the public checkpoints of DINO, MAE and RETFound.
"""

import torch
from torch import Tensor, nn

__all__ = ["Block", "DropPath", "PatchEmbedding"]


class DropPath(nn.Module):
    """Leave a residual branch out for some images, in training only (stochastic depth).

    Args:
        rate: chance in [0, 1) that the branch of an image is 0; the others are scaled up by
            ``1 / (1 - rate)``.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch ``x (B, ...)`` with some of its images 0."""
        if self.rate == 0.0 or not self.training:
            return x
        keep = 1.0 - self.rate
        shape = [len(x)] + [1] * (x.dim() - 1)
        kept = (keep + torch.rand(shape, dtype=x.dtype, device=x.device)).floor()
        return x / keep * kept


class PatchEmbedding(nn.Module):
    """Cut an image into patches without overlap and map each to a token."""

    def __init__(self, in_channels: int, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens ``(B, h w, F)`` of ``x (B, C, H, W)``, row by row."""
        tokens: Tensor = self.proj(x)
        return tokens.flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head attention of tokens among themselves."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, T, F)`` of ``x (B, T, F)``."""
        qkv = self._split(x)
        mixed = nn.functional.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return out

    def of_class_token(self, x: Tensor) -> Tensor:
        """Return how much the class token looks at every token, ``(B, heads, T)``, sum 1."""
        qkv = self._split(x)
        q, k = qkv[0][:, :, 0], qkv[1]
        scores: Tensor = (k @ q.unsqueeze(3)).squeeze(3) * q.shape[-1] ** -0.5
        return scores.softmax(dim=-1)

    def _split(self, x: Tensor) -> Tensor:
        """Return queries, keys and values ``(3, B, heads, T, F / heads)``."""
        batch, count, dim = x.shape
        qkv: Tensor = self.qkv(x)
        return qkv.reshape(batch, count, 3, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)


class Perceptron(nn.Module):
    """Two linear layers with GELU between them, on every token."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, T, F)`` of ``x (B, T, F)``."""
        out: Tensor = self.fc2(nn.functional.gelu(self.fc1(x)))
        return out


class Block(nn.Module):
    """Attention, then a perceptron, each normalised before and added to its input.

    Args:
        dim: F, width of a token.
        heads: of the attention; divides F.
        drop_path: see `DropPath`; each of the two branches is dropped by itself.
    """

    def __init__(self, dim: int, heads: int, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, heads)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Perceptron(dim, 4 * dim)

    def forward(self, x: Tensor, first_only: bool = False) -> Tensor:
        """Return ``(B, T, F)`` of ``x (B, T, F)``, or its first token alone ``(B, 1, F)``.

        After the last block nothing but the class token is read, which spares the perceptron of
        all other tokens.
        """
        x = x + self.drop_path(self.attn(self.norm1(x)))
        if first_only:
            x = x[:, :1]
        out: Tensor = x + self.drop_path(self.mlp(self.norm2(x)))
        return out

    def attention(self, x: Tensor) -> Tensor:
        """Return the attention of the class token in this block, ``(B, heads, T)``."""
        weights: Tensor = self.attn.of_class_token(self.norm1(x))
        return weights
