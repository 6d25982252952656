"""The vision transformer of DINO, MAE and RETFound (Dosovitskiy et al., ICLR 2021).

DINO's ViT-S/16 unless told otherwise: a class token, learned position embeddings, blocks that
normalise before, and a normalisation at the end (Caron et al., ICCV 2021; facebookresearch/dino,
``vision_transformer.py``). Names of parameters are those of the public checkpoints
(`common.networks.load_vit_weights`).

==============  =========  =====  =====
size            embed_dim  depth  heads
==============  =========  =====  =====
ViT-Ti          192        12     3
ViT-S           384        12     6
ViT-B           768        12     12
ViT-L           1024       24     16
==============  =========  =====  =====

Differs from the released code: nothing known; no dropout but that of paths, which is all DINO uses.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks.vit_blocks import Block, PatchEmbedding

__all__ = ["VisionTransformer"]


class VisionTransformer(nn.Module):
    """Encoder of images by a vision transformer; images of any size of at least one patch.

    Position embeddings are learned for a square of `image_size` and enlarged or shrunk bicubically
    to the grid of the image, as DINO's code does it. A border narrower than a patch is not seen.

    Args:
        image_size: side of the images the position embeddings are for, in pixels.
        patch_size: side of a patch, in pixels.
        in_channels: channels of the image.
        embed_dim: F, width of a token.
        depth: number of blocks.
        heads: of the attention; divides F.
        drop_path: chance that the last block's branches are dropped in training; it rises linearly
            from 0 at the first block. DINO's student has 0.1, its teacher 0.
        pool: "cls" is the class token after the normalisation; "mean" is the mean of the patch
            tokens, then normalised (fc_norm of RETFound's classifier, MAE's global pooling).
        last_blocks: number of last blocks whose class tokens make h; DINO's linear evaluation of
            ViT-S reads 4. More than 1 needs ``pool="cls"``.

    Shapes: ``x (B, in_channels, H, W) -> h (B, out_features)``, ``out_features = last_blocks * F``;
    the last F columns are the class token of the last block.
    """

    def __init__(
        self,
        image_size: int = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        embed_dim: int = 384,
        depth: int = 12,
        heads: int = 6,
        drop_path: float = 0.0,
        pool: Literal["cls", "mean"] = "cls",
        last_blocks: int = 1,
    ) -> None:
        super().__init__()
        name = "VisionTransformer"
        require(
            image_size >= patch_size > 0,
            f"{name}: image_size must be at least patch_size, got {image_size} and {patch_size}.",
        )
        require(
            heads > 0 and embed_dim % heads == 0,
            f"{name}: embed_dim must be a multiple of heads, got {embed_dim} and {heads}.",
        )
        require(0 <= drop_path < 1, f"{name}: drop_path must be in [0, 1), got {drop_path}.")
        require(pool in ("cls", "mean"), f"{name}: pool must be 'cls' or 'mean', got {pool!r}.")
        most = depth if pool == "cls" else 1
        require(
            1 <= last_blocks <= most,
            f"{name}: last_blocks must be 1 to {most} for pool {pool!r}, got {last_blocks}.",
        )
        self.patch_size = patch_size
        self.side = image_size // patch_size
        self.pool: str = pool
        self.last_blocks = last_blocks
        self.out_features = last_blocks * embed_dim
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.side**2 + 1, embed_dim))
        self.patch_embed = PatchEmbedding(in_channels, patch_size, embed_dim)
        rates = [drop_path * index / max(depth - 1, 1) for index in range(depth)]
        self.blocks = nn.ModuleList([Block(embed_dim, heads, rate) for rate in rates])
        self.norm = nn.LayerNorm(embed_dim, eps=1e-6)
        self._initialise()

    def forward(self, x: Tensor) -> Tensor:
        """Return the representation ``h (B, out_features)`` of ``x (B, in_channels, H, W)``."""
        if self.pool == "cls":
            return self.last_tokens(x, self.last_blocks)
        tokens = self._embed(x)
        for block in self.blocks:
            tokens = block(tokens)
        h: Tensor = self.norm(tokens[:, 1:].mean(dim=1))
        return h

    def last_tokens(self, x: Tensor, n: int = 4) -> Tensor:
        """Return the class tokens of the last `n` blocks ``(B, n F)``, normalised, last one last.

        What DINO's linear evaluation of ViT-S reads, with ``n = 4``.
        """
        tokens = self._embed(x)
        kept: list[Tensor] = []
        last = len(self.blocks) - 1
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, index == last)
            if index > last - n:
                kept.append(self.norm(tokens[:, 0]))
        return torch.cat(kept, dim=1)

    def attention(self, x: Tensor) -> Tensor:
        """Return where the class token looks in the last block, ``(B, heads, h, w)``.

        Args:
            x: images ``(B, in_channels, H, W)``.

        Returns:
            Weights of the h x w patches; with the class token's own weight they sum to 1.
        """
        tokens = self._embed(x)
        *before, last = self.blocks
        for block in before:
            tokens = block(tokens)
        assert isinstance(last, Block)
        rows, columns = x.shape[2] // self.patch_size, x.shape[3] // self.patch_size
        weights = last.attention(tokens)[:, :, 1:]
        return weights.reshape(len(x), -1, rows, columns)

    def _embed(self, x: Tensor) -> Tensor:
        """Return the class token and the patches, ``(B, 1 + h w, F)``, with their positions."""
        rows, columns = x.shape[2] // self.patch_size, x.shape[3] // self.patch_size
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), patches], dim=1)
        return tokens + self._positions(rows, columns)

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Return the position embeddings of the class token and a grid, ``(1, 1 + h w, F)``."""
        if rows == self.side and columns == self.side:
            return self.pos_embed
        square = self.pos_embed[:, 1:].reshape(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        # a tenth of a patch more, so that rounding keeps the size; it also is the scale of the
        # interpolation, and so part of what released weights were trained with
        scale = [(rows + 0.1) / self.side, (columns + 0.1) / self.side]
        grid = nn.functional.interpolate(square, scale_factor=scale, mode="bicubic")
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def _initialise(self) -> None:
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
