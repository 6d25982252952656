"""SimSiam: each view predicts the other, and only the prediction is trained.

One training step, with views x_1, x_2, encoder f, projector g and predictor q (Chen and He,
Exploring simple siamese representation learning, CVPR 2021, Algorithm 1)::

    f, g, q:  minimise  1/2 sum_{u != v} -cos( q(g(f(x_u))), stop_gradient(g(f(x_v))) )

The projector has three linear layers with batch normalisation, the predictor two:
``Projector(features, 2048, 2048, layers=3, norm="BATCH", end=BatchNorm1d(2048, affine=False))`` and
``Projector(2048, 512, 2048, norm="BATCH")``.

Differs from the paper: nothing known.

Paper: https://arxiv.org/abs/2011.10566
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from common.losses import NegativeCosine
from common.methods.method import Method, Phase
from common.networks import ImageClassifier

__all__ = ["SimSiam"]


class SimSiam(Method):
    """Predict one view's projection from the other's; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``.
        predictor: q, ``z -> z``.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        predictor: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__(classifier, policy, transform)
        self.projector = projector
        self.predictor = predictor
        self.loss = NegativeCosine()

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        views = [self.transformed(batch["image"]) for _ in range(2)]
        z = [self.projector(self.classifier.encode(view)) for view in views]
        prediction = torch.stack([self.predictor(one) for one in z], dim=1)
        cosine = self.loss(prediction, torch.stack(z, dim=1))
        yield Phase("encoder", cosine, {"negative_cosine": cosine.detach()})
