"""SwAV: the prototypes that a batch assigns to one view are predicted from the other.

One training step, with views x_1, x_2, encoder f, projector g and K prototypes C of length 1
(Caron et al., Unsupervised learning of visual features by contrasting cluster assignments, NeurIPS
2020, Algorithm 1)::

    s_v = cos(g(f(x_v)), C)
    q_v = sinkhorn(s_v of the batch and, later, of a queue of earlier projections)   no gradient
    f, g, C:  minimise  SwAV(s, q)                                     `common.losses.SwAV`

Differs from the paper: its small extra views (multi-crop) are not drawn; when the queue is first
used, and how long the prototypes are frozen, is counted in batches, not in epochs.

Paper: https://arxiv.org/abs/2006.09882
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import world_size
from common.losses import Queue
from common.losses import SwAV as SwappedLoss
from common.methods.method import Method, Phase
from common.methods.sinkhorn import sinkhorn
from common.networks import ImageClassifier, Prototypes, width_of

__all__ = ["SwAV"]

VIEWS = 2


class SwAV(Method):
    """Predict the assignment of one view from the other; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``, with the attribute ``out_features``, such as `Projector`.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        prototypes: K; 3000 in the paper, several times the number of classes of a smaller set.
        temperature: divides the scores in the loss.
        epsilon: softness of the assignments, see `common.methods.sinkhorn`.
        rounds: of `sinkhorn`.
        queue: projections of each view that are kept for `sinkhorn`; 0 for none. Batches smaller
            than K need one.
        queue_after: batches before the queue is used; it never is before it is full.
        frozen: batches in which the prototypes are not trained.
    """

    batches: Tensor

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        prototypes: int = 3000,
        temperature: float = 0.1,
        epsilon: float = 0.05,
        rounds: int = 3,
        queue: int = 0,
        queue_after: int = 0,
        frozen: int = 0,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(
            min(queue, queue_after, frozen) >= 0,
            "SwAV: queue, queue_after and frozen must be at least 0, got "
            f"{(queue, queue_after, frozen)}.",
        )
        width = width_of("SwAV", projector)
        self.projector = projector
        self.prototypes = Prototypes(width, prototypes)
        self.loss = SwappedLoss(temperature)
        self.epsilon, self.rounds = epsilon, rounds
        self.queue_after, self.frozen = queue_after, frozen
        self.queues = nn.ModuleList(
            Queue(queue, width, seed) for seed in range(VIEWS if queue else 0)
        )
        self.register_buffer("batches", torch.zeros((), dtype=torch.long))

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        self.prototypes.normalize()
        views = [self.transformed(batch["image"]) for _ in range(VIEWS)]
        z = [self.projector(self.classifier.encode(view)) for view in views]
        frozen = bool(self.batches < self.frozen)
        scores = torch.stack([self.prototypes(one, frozen) for one in z], dim=1)
        assigned = torch.stack([self._assign(scores[:, v], v) for v in range(VIEWS)], dim=1)
        swapped = self.loss(scores, assigned)
        yield Phase("encoder", swapped, {"swapped": swapped.detach()})
        for queue, one in zip(self.queues, z):
            assert isinstance(queue, Queue)
            queue.enqueue(one)
        self.batches += 1

    @torch.no_grad()
    def _assign(self, scores: Tensor, view: int) -> Tensor:
        earlier = None
        entered = int(self.batches) * len(scores) * world_size()
        if self.queues and self.batches >= self.queue_after:
            rows = self.queues[view].queue
            assert isinstance(rows, Tensor)
            earlier = self.prototypes(rows) if entered >= len(rows) else None
        return sinkhorn(scores, epsilon=self.epsilon, rounds=self.rounds, earlier=earlier)
