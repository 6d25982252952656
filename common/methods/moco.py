"""MoCo: each view recognises the other among the keys of earlier batches.

One training step, with views x_1, x_2, encoder f, projector g and the momentum encoder f', g' (He
et al., Momentum contrast, CVPR 2020, Algorithm 1; MoCo v2, Chen et al. 2020, has two linear layers
in g)::

    f, g:  minimise  InfoNCE( g(f(x_1)), g'(f'(x_2)), queue )          `common.losses.MoCo`
    f', g' <- m f', g' + (1 - m) f, g
    the keys g'(f'(x_2)) replace the oldest of the queue

Differs from the released code: the copy follows after the optimiser's step, not before the next
forward pass, which is the same; images are not shuffled between processes (shuffled batch
normalisation), so with batch normalisation a rank's queries and keys share their statistics.

Papers: https://arxiv.org/abs/1911.05722, https://arxiv.org/abs/2003.04297
"""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from common.checks import require
from common.losses import MoCo as QueueLoss
from common.methods.method import Method, Phase
from common.methods.momentum_encoder import MomentumEncoder
from common.networks import EncoderAndHead, ImageClassifier, width_of

__all__ = ["MoCo"]


class MoCo(Method):
    """Contrast a view with the momentum encoder's key of the other and a queue; see the module.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: g, ``h -> z``, with the attribute ``out_features``, such as `Projector`.
        policy: draws the parameters of each view, see `Method`.
        transform: ``(x, lam) -> x``.
        queue: number of keys kept; 65536 in the paper, MoCo-CXR's and small sets' are smaller.
        momentum: m, in [0, 1].
        temperature: divides the cosines; 0.07 in the paper, 0.2 in MoCo v2.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        queue: int = 65536,
        momentum: float = 0.999,
        temperature: float = 0.07,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(0 <= momentum <= 1, f"MoCo: momentum must be between 0 and 1, got {momentum}.")
        self.projector = projector
        self.momentum_encoder = MomentumEncoder(EncoderAndHead(classifier.encoder, projector))
        self.loss = QueueLoss(queue, width_of("MoCo", projector), temperature)
        self.momentum = momentum

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        first, second = (self.transformed(batch["image"]) for _ in range(2))
        z = self.projector(self.classifier.encode(first)).unsqueeze(1)
        key = self.momentum_encoder(second).unsqueeze(1)
        contrast = self.loss(z, key)
        yield Phase("encoder", contrast, {"contrastive": contrast.detach()})
        self.momentum_encoder.follow(
            nn.Sequential(self.classifier.encoder, self.projector), self.momentum
        )
        self.loss.enqueue(key)
