"""SimCLR with one transformed view: the base method of Ruppli et al. 2022, section 3.

Chen et al. 2020 transform both views; here, as in the paper's baseline, "only one image is
transformed by a random composition of the tested transformations".

Papers: https://arxiv.org/abs/2207.13367, https://arxiv.org/abs/2002.05709
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from common.methods.method import Method, Phase
from common.networks import ImageClassifier
from common.transforms import Composition

__all__ = ["OneViewSimCLR"]


class OneViewSimCLR(Method):
    """Pull each image to its transformed version, away from the other images.

    Args:
        classifier: encoder f, see `Method`; its head is not trained here.
        projector: projection head g, ``h -> z``.
        policy: a random policy, such as `common.policies.EachWithProbability`.
        transform: `common.transforms.Composition`.
        loss: ``z (B, 2, D) -> scalar``, ``z[:, 0]`` transformed: `common.losses.DecoupledInfoNCE`
            (the paper's Eq. 2) or `common.losses.InfoNCE` (Chen et al. 2020, NT-Xent).
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module,
        transform: Composition,
        loss: nn.Module,
    ) -> None:
        super().__init__(classifier, policy, transform)
        self.projector = projector
        self.loss = loss

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for ``batch["image"] (B, C, *spatial)`` in [0, 1]."""
        x = batch["image"]
        views = self.transformed(x), x
        z = [self.projector(self.classifier.encode(view)) for view in views]
        contrast = self.loss(torch.stack(z, dim=1))
        yield Phase("encoder", contrast, {"contrastive": contrast.detach()})
