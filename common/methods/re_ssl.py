"""ReSSL: a view and its momentum encoder's key of a weaker view relate alike to a queue of keys.

One training step, with a strong view x_1, a weak one x_2, encoder f, projector g and the momentum
encoder f', g' (Zheng et al., ReSSL, NeurIPS 2021, section 3)::

    f, g:  minimise  ReSSL( g(f(x_1)), g'(f'(x_2)), queue )            `common.losses.ReSSL`
    f', g' <- m f', g' + (1 - m) f, g
    the keys g'(f'(x_2)) replace the oldest of the queue

Differs from the paper: nothing known.

Paper: https://arxiv.org/abs/2107.09282
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.losses import Queue
from common.losses import ReSSL as RelationLoss
from common.methods.method import Method, Phase
from common.methods.momentum_encoder import MomentumEncoder
from common.networks import EncoderAndHead, ImageClassifier, width_of

__all__ = ["ReSSL"]


class ReSSL(Method):
    """Keep a view's relations to a queue of keys; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``, with the attribute ``out_features``, such as `Projector`.
        policy: draws the parameters of the strong view, see `Method`.
        transform: ``(x, lam) -> x`` of the strong view.
        weak_policy: draws those of the weak view; None for a view like the strong one.
        weak_transform: of the weak view; given with `weak_policy`.
        queue: number of keys kept.
        momentum: m, in [0, 1], an attribute that `common.engines.CosineSchedule` may raise.
        temperature: of the strong view's relations.
        teacher_temperature: of the weak view's, lower.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        weak_policy: nn.Module | None = None,
        weak_transform: nn.Module | None = None,
        *,
        queue: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.1,
        teacher_temperature: float = 0.04,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(0 <= momentum <= 1, f"ReSSL: momentum must be between 0 and 1, got {momentum}.")
        require(
            (weak_policy is None) == (weak_transform is None),
            "ReSSL: weak_policy and weak_transform must both be given or both be None, got "
            f"{type(weak_policy).__name__} and {type(weak_transform).__name__}.",
        )
        self.projector = projector
        self.weak_policy = weak_policy
        self.weak_transform = weak_transform
        self.momentum_encoder = MomentumEncoder(EncoderAndHead(classifier.encoder, projector))
        self.loss = RelationLoss(temperature, teacher_temperature)
        self.queue = Queue(queue, width_of("ReSSL", projector))
        self.momentum = momentum

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        x = batch["image"]
        query = self.projector(self.classifier.encode(self.transformed(x)))
        key = self.momentum_encoder(self._weak(x))
        relation = self.loss(query, key, self.queue.queue)
        yield Phase("encoder", relation, {"relation": relation.detach()})
        trained = nn.Sequential(self.classifier.encoder, self.projector)
        self.momentum_encoder.follow(trained, self.momentum)
        self.queue.enqueue(key)

    @torch.no_grad()
    def _weak(self, x: Tensor) -> Tensor:
        if self.weak_policy is None or self.weak_transform is None:
            return self.transformed(x)
        moved: Tensor = self.weak_transform(x, self.weak_policy(x))
        return moved
