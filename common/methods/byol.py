"""BYOL: each view predicts what a momentum encoder makes of the other view.

One training step, with views x_1, x_2, encoder f, projector g, predictor q and the momentum encoder
f', g' (Grill et al., Bootstrap your own latent, NeurIPS 2020, section 3.1)::

    f, g, q:  minimise  sum_{u != v} (2 - 2 cos( q(g(f(x_u))), g'(f'(x_v)) ))
    f', g' <- m f', g' + (1 - m) f, g        m from `momentum` to 1, half a cosine over the steps

Projector and predictor are two linear layers with batch normalisation in between:
``Projector(features, 4096, 256, norm="BATCH")`` and ``Projector(256, 4096, 256, norm="BATCH")``.

Differs from the paper: nothing known. Across processes the batch statistics are each rank's own, as
in the released reimplementations without synchronised normalisation.

Paper: https://arxiv.org/abs/2006.07733
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.losses import NegativeCosine
from common.methods.method import Method, Phase
from common.methods.momentum_encoder import MomentumEncoder
from common.networks import ImageClassifier

__all__ = ["BYOL"]


class BYOL(Method):
    """Predict the momentum encoder's projection of one view from the other; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``.
        predictor: q, ``z -> z``.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        momentum: m of the first step, in [0, 1]; 0.996 in the paper, 0.99 for CIFAR.
        total_steps: batches of the whole training, after which m is 1; None keeps m where it is.
    """

    done: Tensor

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        predictor: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        momentum: float = 0.996,
        total_steps: int | None = None,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(0 <= momentum <= 1, f"BYOL: momentum must be between 0 and 1, got {momentum}.")
        require(
            total_steps is None or total_steps >= 1,
            f"BYOL: total_steps must be at least 1 or None, got {total_steps}.",
        )
        self.projector = projector
        self.predictor = predictor
        self.momentum_encoder = MomentumEncoder(nn.Sequential(classifier.encoder, projector))
        self.loss = NegativeCosine()
        self.momentum = momentum
        self.total_steps = total_steps
        self.register_buffer("done", torch.zeros((), dtype=torch.long))

    def momentum_at(self, step: int) -> float:
        """Return ``1 - (1 - momentum) (cos(pi step / total_steps) + 1) / 2`` of `step`, from 0."""
        if self.total_steps is None:
            return self.momentum
        share = min(step / self.total_steps, 1.0)
        return 1 - (1 - self.momentum) * (math.cos(math.pi * share) + 1) / 2

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        views = [self.transformed(batch["image"]) for _ in range(2)]
        z = [self.projector(self.classifier.encode(view)) for view in views]
        prediction = torch.stack([self.predictor(one) for one in z], dim=1)
        target = torch.stack([self.momentum_encoder(view) for view in views], dim=1)
        cosine = self.loss(prediction, target)
        # two directions of 2 - 2 cos
        yield Phase("encoder", 4 + 4 * cosine, {"negative_cosine": cosine.detach()})
        self.momentum_encoder.follow(self._fast(), self.momentum_at(int(self.done)))
        self.done += 1

    def _fast(self) -> nn.Module:
        return nn.Sequential(self.classifier.encoder, self.projector)
