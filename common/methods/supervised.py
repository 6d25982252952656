"""Supervised training on randomly transformed images: the comparators of Ruppli et al. 2022.

"For the fully supervised training, we used data augmentation composing the tested transformations
randomly. Each transformation had a 0.5 probability of being sampled" (section 3), one dense layer
and a sigmoid on the same encoder (section 2.3).
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from common.methods.method import Method, Phase, classification_loss

__all__ = ["Supervised"]


class Supervised(Method):
    """Binary cross entropy of the classifier on transformed images; see `Method` for the arguments.

    Images without a label add nothing, so 10 % and 100 % of the labels are the same method on
    different data.
    """

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for "image" ``(B, C, *spatial)`` and "label" ``(B,)``."""
        x, label = batch["image"], batch["label"]
        with torch.no_grad():
            x = self.transform(x, self.policy(x))
        bce = classification_loss(self.classifier(x), label)
        yield Phase("encoder", bce, {"transformed_bce": bce.detach()})
