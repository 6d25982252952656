"""BYOL: each view predicts what a momentum encoder makes of the other view.

One training step, with views x_1, x_2, encoder f, projector g, predictor q and the momentum encoder
f', g' (Grill et al., Bootstrap your own latent, NeurIPS 2020, section 3.1)::

    f, g, q:  minimise  sum_{u != v} (2 - 2 cos( q(g(f(x_u))), g'(f'(x_v)) ))
    f', g' <- m f', g' + (1 - m) f, g        m from 0.996 to 1, half a cosine over the steps

The rise of m is a handler, `common.engines.CosineSchedule`. Projector and predictor are two linear
layers with batch normalisation in between:
``Projector(features, 4096, 256, norm="BATCH")`` and ``Projector(256, 4096, 256, norm="BATCH")``.

Differs from the paper: nothing known. Across processes the batch statistics are each rank's own, as
in the released reimplementations without synchronised normalisation.

Paper: https://arxiv.org/abs/2006.07733
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.losses import NegativeCosine
from common.methods.method import Method, Phase
from common.methods.momentum_encoder import MomentumEncoder
from common.networks import EncoderAndHead, ImageClassifier

__all__ = ["BYOL"]


class BYOL(Method):
    """Predict the momentum encoder's projection of one view from the other; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``.
        predictor: q, ``z -> z``.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        momentum: m, in [0, 1], an attribute of the same name that `common.engines.CosineSchedule`
            may raise; the paper begins at 0.996, at 0.99 for CIFAR.
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
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(0 <= momentum <= 1, f"BYOL: momentum must be between 0 and 1, got {momentum}.")
        self.projector = projector
        self.predictor = predictor
        self.momentum_encoder = MomentumEncoder(EncoderAndHead(classifier.encoder, projector))
        self.loss = NegativeCosine()
        self.momentum = momentum

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        views = [self.transformed(batch["image"]) for _ in range(2)]
        z = [self.projector(self.classifier.encode(view)) for view in views]
        prediction = torch.stack([self.predictor(one) for one in z], dim=1)
        cosine = self.loss(prediction, self.targets(views))
        # two directions of 2 - 2 cos
        yield Phase("encoder", 4 + 4 * cosine, {"negative_cosine": cosine.detach()})
        trained = nn.Sequential(self.classifier.encoder, self.projector)
        self.momentum_encoder.follow(trained, self.momentum)

    def targets(self, views: Sequence[Tensor]) -> Tensor:
        """Return ``(B, V, D)``, what each view is predicted to be."""
        return torch.stack([self.momentum_encoder(view) for view in views], dim=1)
