"""MoCo: each view recognises the other among the keys of earlier batches.

One training step, with views x_1, x_2, encoder f, projector g and the momentum encoder f', g' (He
et al., Momentum contrast, CVPR 2020, Algorithm 1; MoCo v2, Chen et al. 2020, has two linear layers
in g)::

    f, g:  minimise  InfoNCE( g(f(x_1)), g'(f'(x_2)), queue )          `common.losses.MoCo`
    f', g' <- m f', g' + (1 - m) f, g
    the keys g'(f'(x_2)) replace the oldest of the queue

Symmetric, as MoCo v2+ of solo-learn (da Costa et al., JMLR 2022), which the authors of "No Free
Lunch in Self Supervised Representation Learning" ran: the mean of that and of the same with the
views exchanged, whose keys g'(f'(x_1)) have a queue of their own.

Differs from the released code: the copy follows after the optimiser's step, not before the next
forward pass, which is the same; images are not shuffled between processes (shuffled batch
normalisation), so with batch normalisation a rank's queries and keys share their statistics.

Papers: https://arxiv.org/abs/1911.05722, https://arxiv.org/abs/2003.04297
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
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
        symmetric: compare in both directions, which takes two passes of f and of f'; not in the
            paper.
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
        symmetric: bool = False,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(0 <= momentum <= 1, f"MoCo: momentum must be between 0 and 1, got {momentum}.")
        self.projector = projector
        self.momentum_encoder = MomentumEncoder(EncoderAndHead(classifier.encoder, projector))
        width = width_of("MoCo", projector)
        self.loss = QueueLoss(queue, width, temperature)
        self.exchanged = QueueLoss(queue, width, temperature, seed=1) if symmetric else None
        self.momentum = momentum

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        first, second = (self.transformed(batch["image"]) for _ in range(2))
        directions = [(self.loss, first, second)]
        if self.exchanged is not None:
            directions.append((self.exchanged, second, first))
        losses, keys = [], []
        for loss, asking, answering in directions:
            z = self.projector(self.classifier.encode(asking)).unsqueeze(1)
            keys.append(self.momentum_encoder(answering).unsqueeze(1))
            losses.append(loss(z, keys[-1]))
        contrast = torch.stack(losses).mean()
        yield Phase("encoder", contrast, {"contrastive": contrast.detach()})
        self.momentum_encoder.follow(
            nn.Sequential(self.classifier.encoder, self.projector), self.momentum
        )
        for (loss, _, _), key in zip(directions, keys):
            loss.enqueue(key)
