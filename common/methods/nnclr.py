"""NNCLR: the nearest neighbour of one view, out of a queue, recognises the other view.

One training step, with views x_1, x_2, encoder f, projector g, predictor q and a queue of earlier
projections (Dwibedi et al., With a little help from my friends, ICCV 2021, section 3)::

    z_v = g(f(x_v)), n_v = nearest row of the queue to z_v
    f, g, q:  minimise  1/2 ( NNCLR(q(z_2), n_1) + NNCLR(q(z_1), n_2) )      `common.losses.NNCLR`
    the projections z_1 replace the oldest of the queue

Differs from the paper: nothing known.

Paper: https://arxiv.org/abs/2104.14548
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from common.losses import NNCLR as NeighbourLoss
from common.losses import Queue
from common.methods.method import Method, Phase
from common.networks import ImageClassifier, width_of

__all__ = ["NNCLR"]


class NNCLR(Method):
    """Contrast a view with the nearest neighbour of the other; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``, with the attribute ``out_features``, such as `Projector`.
        predictor: q, ``z -> z``.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        queue: number of projections kept.
        temperature: divides the cosines.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        predictor: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        queue: int = 65536,
        temperature: float = 0.1,
    ) -> None:
        super().__init__(classifier, policy, transform)
        self.projector = projector
        self.predictor = predictor
        self.loss = NeighbourLoss(temperature)
        self.queue = Queue(queue, width_of("NNCLR", projector))

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        views = [self.transformed(batch["image"]) for _ in range(2)]
        first, second = (self.projector(self.classifier.encode(view)) for view in views)
        forth = self.loss(self.predictor(second), self.queue.nearest(first))
        back = self.loss(self.predictor(first), self.queue.nearest(second))
        contrast = (forth + back) / 2
        yield Phase("encoder", contrast, {"contrastive": contrast.detach()})
        self.queue.enqueue(first)
