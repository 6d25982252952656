"""An encoder's pass over a batch in parts, of which none keeps its activations.

A contrastive loss needs the embeddings of a whole batch, but its memory is the encoder's
activations. Here each part of the batch goes through the encoder and only its features are kept;
when the gradient of the features is known, the part's activations are computed once more and
back-propagated, so memory is that of one part at the price of a second forward pass (Gao et al.,
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP 2021). The
gradient is the whole batch's, exactly, for an encoder that looks at each image alone: batch
normalisation does not. Random numbers that an encoder draws (drop path) are the same in both
passes.

Paper: https://arxiv.org/abs/2101.06983
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from common.checks import require

__all__ = ["EncoderAndHead", "encode_in_chunks", "set_cache_chunk"]


def encode_in_chunks(
    encode: Callable[..., Tensor], x: Tensor, chunk: int, *others: Tensor
) -> Tensor:
    """Return ``encode(x, *others)`` from parts of `chunk` rows; 0, or a batch as small, is one.

    Args:
        encode: an encoder, or what makes a view before it.
        x: images ``(B, C, *spatial)``.
        chunk: rows of a part.
        others: what `encode` takes beside them, a row for each image.

    Returns:
        ``h (B, F)``.
    """
    if chunk == 0 or len(x) <= chunk:
        return encode(x, *others)
    parts = zip(*(torch.split(each, chunk) for each in (x, *others)))
    if not torch.is_grad_enabled():
        return torch.cat([encode(*part) for part in parts])
    return torch.cat([checkpoint(encode, *part, use_reentrant=False) for part in parts])


class EncoderAndHead(nn.Sequential):
    """Encoder and projector one after the other, the encoder in parts where that is set."""

    cache_chunk = 0

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__(encoder, head)

    def forward(self, x: Tensor) -> Tensor:
        """Return the embeddings ``z (B, D)`` of ``x (B, C, *spatial)``."""
        z: Tensor = self[1](encode_in_chunks(self[0], x, self.cache_chunk))
        return z


def set_cache_chunk(network: nn.Module, encoder: nn.Module, chunk: int) -> None:
    """Let every pass of `network` through an encoder be one of parts of `chunk` images.

    Args:
        network: a method; each of its modules with the attribute `cache_chunk` is set.
        encoder: the one it trains.
        chunk: images of a part; 0 for the whole batch at once.

    Raises:
        InputError: `chunk` is below 0, or the encoder normalises over a batch.
    """
    require(chunk >= 0, f"cache_chunk: must be 0 (off) or more images, got {chunk}. Use 8, or 0.")
    normalised = any(isinstance(layer, _BatchNorm) for layer in encoder.modules())
    require(
        chunk == 0 or not normalised,
        "cache_chunk: the encoder must look at each image alone, got batch normalisation, which "
        "would be over a part of the batch. Add the overlay norm_group, or set cache_chunk to 0.",
    )
    for module in network.modules():
        if hasattr(module, "cache_chunk"):
            setattr(module, "cache_chunk", chunk)  # noqa: B010  a module's type has no such name
