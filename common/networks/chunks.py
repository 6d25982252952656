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

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from common.checks import require

__all__ = ["EncoderAndHead", "encode_in_chunks", "set_cache_chunk"]


def encode_in_chunks(
    encoder: nn.Module,
    x: Tensor,
    chunk: int,
    *others: Tensor,
    view: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Return ``encoder(x)`` from parts of `chunk` rows; 0, or a batch as small, is one part.

    Args:
        encoder: ``(B, C, *spatial) -> h (B, F)``.
        x: images ``(B, C, *spatial)``.
        chunk: rows of a part.
        others: what `view` takes beside x, a row for each image.
        view: what the encoder sees is ``view(x, *others)``, made anew for each part.

    Returns:
        ``h (B, F)``.
    """
    made = view or _as_it_is
    if chunk == 0 or len(x) <= chunk:
        h: Tensor = encoder(made(x, *others))
        return h
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    rows = (x, *others)
    tensors = (*rows, *trained.values())
    h = _InParts.apply(encoder, made, chunk, list(trained), *tensors)  # type: ignore[no-untyped-call]
    return h


def _as_it_is(x: Tensor) -> Tensor:
    return x


def _parts(rows: Sequence[Tensor], chunk: int) -> Iterator[tuple[Tensor, ...]]:
    return zip(*(torch.split(each, chunk) for each in rows))


class _InParts(torch.autograd.Function):
    """All parts as one operation: the graph of a part lives only while that part is computed."""

    @staticmethod
    def forward(
        ctx: Any, encoder: Any, view: Any, chunk: int, names: list[str], *tensors: Tensor
    ) -> Tensor:
        kind = tensors[0].device.type
        ctx.encoder, ctx.view, ctx.chunk, ctx.names = encoder, view, chunk, names
        ctx.amp = {
            "dtype": torch.get_autocast_dtype(kind),
            "enabled": torch.is_autocast_enabled(kind),
        }
        ctx.random = _random_state(tensors[0])
        ctx.save_for_backward(*tensors)
        rows = tensors[: len(tensors) - len(names)]
        return torch.cat([encoder(view(*part)) for part in _parts(rows, chunk)])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows = ctx.saved_tensors[: len(ctx.saved_tensors) - len(ctx.names)]
        trained = [p.detach().requires_grad_() for p in ctx.saved_tensors[len(rows) :]]
        wanted = ctx.needs_input_grad[4 : 4 + len(rows)]
        rows = [each.detach().requires_grad_(w) for each, w in zip(rows, wanted)]
        devices = [rows[0].device] if rows[0].is_cuda else []
        with (
            torch.enable_grad(),
            torch.random.fork_rng(devices),
            torch.autocast(rows[0].device.type, **ctx.amp),
        ):
            _set_random_state(ctx.random, rows[0])
            for part, slope in zip(_parts(rows, ctx.chunk), torch.split(gradient, ctx.chunk)):
                weights = dict(zip(ctx.names, trained))
                h = functional_call(ctx.encoder, weights, (ctx.view(*part),))
                leaves = [*trained, *(each for each, w in zip(rows, wanted) if w)]
                torch.autograd.backward(h, slope, inputs=leaves)
        return None, None, None, None, *(each.grad for each in (*rows, *trained))


def _random_state(x: Tensor) -> list[Tensor]:
    """States of the generators that an encoder of `x` draws from."""
    of_device = [torch.cuda.get_rng_state(x.device)] if x.is_cuda else []
    return [torch.get_rng_state(), *of_device]


def _set_random_state(states: Sequence[Tensor], x: Tensor) -> None:
    torch.set_rng_state(states[0])
    if x.is_cuda:
        torch.cuda.set_rng_state(states[1], x.device)


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
