"""Supervised training: the comparators of the contrastive methods.

With the binary cross entropy, those of Ruppli et al. 2022: "For the fully supervised training, we
used data augmentation composing the tested transformations randomly. Each transformation had a 0.5
probability of being sampled" (section 3), one dense layer and a sigmoid on the same encoder
(section 2.3). With `cross_entropy`, those of Barbano et al. (ICLR 2023), where a regulariser such
as EnD may be added; with `absolute_error`, the l1 baseline of brain age (ISBI 2023).

Papers: https://arxiv.org/abs/2207.13367, https://arxiv.org/abs/2211.05568,
https://arxiv.org/abs/2211.08326
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.methods.labelled_loss import classification_loss
from common.methods.method import Method, Phase
from common.methods.target_reader import read_targets
from common.networks import ImageClassifier

__all__ = ["Supervised"]


class Supervised(Method):
    """A loss of the classifier's prediction on transformed images.

    Images without a target add nothing, so 10 % and 100 % of the labels are the same method on
    different data. The logged term is "transformed_bce" for the binary cross entropy and the name
    of the loss, such as "cross_entropy", for another one.

    Args:
        classifier: see `Method`.
        policy: see `Method`.
        transform: see `Method`.
        loss: ``(prediction (B, outputs), target) -> scalar``: `classification_loss` (binary),
            `common.methods.cross_entropy` or `common.methods.absolute_error`.
        target: the column of the batch that is learned, such as "label" or "age", or the columns
            of several, an output each.
        regularizer: ``(h (B, 1, F), **targets) -> scalar`` on the representation, such as
            `common.losses.EnD` or `common.losses.FairKL`.
        regularizer_weight: of the regulariser.
        columns: target of the regulariser -> column of the batch, where the names differ.
        frozen: leave the encoder as it is, its running means too, and train the head alone: the
            linear probe of self-supervised learning.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        loss: Callable[[Tensor, Tensor], Tensor] = classification_loss,
        target: str | Sequence[str] = "label",
        regularizer: nn.Module | None = None,
        regularizer_weight: float = 1.0,
        columns: Mapping[str, str] | None = None,
        frozen: bool = False,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(
            0 <= regularizer_weight < math.inf,
            "Supervised: regularizer_weight must be at least 0 and finite, got "
            f"{regularizer_weight}.",
        )
        self.loss = loss
        self.target = target if isinstance(target, str) else tuple(target)
        self.regularizer = regularizer
        self.regularizer_weight = regularizer_weight
        self.columns = dict(columns or {})
        function = getattr(loss, "func", loss)  # of a partial, as configurations make
        name = getattr(function, "__name__", type(function).__name__)
        self.frozen = frozen
        if frozen:
            classifier.encoder.requires_grad_(False)
        self._term = "transformed_bce" if function is classification_loss else name

    def train(self, mode: bool = True) -> "Supervised":
        """Set the mode; a frozen encoder stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.classifier.encoder.eval()
        return self

    def needs(self) -> tuple[str, ...]:
        """Return the target, or each of them."""
        return (self.target,) if isinstance(self.target, str) else self.target

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the encoder phase for "image" ``(B, C, *spatial)`` or ``(B, F)`` and the target."""
        for name in self.needs():
            require(
                name in batch,
                f"Supervised: the batch must hold {name!r}, got {', '.join(sorted(batch))}. "
                "Add the column to the manifest, or set target.",
            )
        columns = [batch[name] for name in self.needs()]
        target = columns[0] if isinstance(self.target, str) else torch.stack(columns, dim=1)
        h = self.classifier.encode(self.transformed(batch["image"]))
        fit = self.loss(self.classifier.head(h), target)
        loss, terms = fit, {self._term: fit.detach()}
        if self.regularizer is not None:
            targets = read_targets(self.regularizer, batch, self.columns)
            penalty = self.regularizer(h.unsqueeze(1), **targets)
            loss = loss + self.regularizer_weight * penalty
            terms["regularizer"] = penalty.detach()
        yield Phase("encoder", loss, terms)
