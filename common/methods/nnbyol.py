"""NNBYOL: each view predicts the nearest neighbour of what a momentum encoder makes of the other.

BYOL (`common.methods.BYOL`) with one change: the target is the row of a queue of earlier targets
that is nearest to it, an idea of NNCLR (Dwibedi et al., With a little help from my friends, ICCV
2021)::

    f, g, q:  minimise  sum_{u != v} (2 - 2 cos( q(g(f(x_u))), nearest(g'(f'(x_v))) ))
    f', g' <- m f', g' + (1 - m) f, g
    the targets g'(f'(x_1)) replace the oldest of the queue

The method has no paper of its own: it is the NNBYOL of the library solo-learn, which No Free Lunch
in SSL used. As there, the queue holds the first view's targets and is searched before they enter.
Differs from it: nothing known.

Papers: https://arxiv.org/abs/2104.14548, https://arxiv.org/abs/2006.07733
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from common.losses import Queue
from common.methods.byol import BYOL
from common.methods.method import Phase
from common.networks import ImageClassifier, width_of

__all__ = ["NNBYOL"]


class NNBYOL(BYOL):
    """BYOL towards the nearest neighbours of its targets; see the module and `BYOL`.

    Args:
        classifier: encoder f.
        projector: g, with the attribute ``out_features``.
        predictor: q.
        policy: draws the parameters of each view.
        transform: ``(x, lam) -> x``.
        momentum: m.
        queue: number of targets kept.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        predictor: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        momentum: float = 0.996,
        queue: int = 65536,
    ) -> None:
        super().__init__(classifier, projector, predictor, policy, transform, momentum=momentum)
        self.queue = Queue(queue, width_of("NNBYOL", projector))
        self._entering: Tensor | None = None

    def targets(self, views: Sequence[Tensor]) -> Tensor:
        """Return ``(B, V, D)``, the neighbours of the momentum encoder's projections."""
        target = super().targets(views)
        self._entering = target[:, 0]
        return self.queue.nearest(target)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield BYOL's phase, then let the targets of the first view enter the queue."""
        yield from super().steps(batch)
        if self._entering is not None:
            self.queue.enqueue(self._entering)
