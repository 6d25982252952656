"""Contrastive learning with any loss of `common.losses`, a fairness regulariser, and a head.

One training step, with V views of each image, h = f(x) and z = g(h)::

    f, g:  minimise  loss_weight L(z, targets) + regularizer_weight R(h, targets)
    p:     minimise  head_loss(p(h of the first view), target)     no gradient to f

which is, with L from `common.losses` and R = `FairKL`, the training of Barbano et al.: Unbiased
Supervised Contrastive Learning (ICLR 2023; the head is its "fc", trained jointly) and Contrastive
learning for regression in multi-site brain age prediction (ISBI 2023), and, with the kernel loss
of all pairs, y-aware contrastive learning (Dufumier et al., MICCAI 2021).

Differs from the released code: the loss's weight enters once (theirs multiplies by alpha twice).

Papers: https://arxiv.org/abs/2211.05568, https://arxiv.org/abs/2211.08326,
https://arxiv.org/abs/2106.08808
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.methods.method import Method, Phase
from common.methods.target_reader import read_targets
from common.networks import ImageClassifier, encode_in_chunks

__all__ = ["Contrastive"]


class Contrastive(Method):
    """Pull views together and push them apart as `loss` says; see the module for the step.

    Phases: "encoder" (encoder and projector), and "head" (``classifier.head``) where there is a
    `head_loss`. The terms "contrastive" and "regularizer" are logged without their weights.

    Args:
        classifier: encoder f and head p, see `Method`. Images or rows of a table.
        projector: projection head g, ``h -> z``; None where the loss is put on h itself, such as
            the unit vectors of `EmbeddingEncoder` or `SimpleConvNet`.
        policy: draws the parameters of each view, see `Method`; None for untransformed images.
        transform: ``(x, lam) -> x``; None for untransformed images.
        loss: ``(z (B, V, D), **targets) -> scalar``; its ``targets`` name what it reads.
        views: V, at least 1: copies of each image that the encoder sees in one pass, each with
            its own parameters. Supervised and kernel losses work with one view.
        columns: target of a loss -> column of the batch, where the names differ, such as
            ``{"y": "age", "bias": "site"}``. Names that no loss reads are not used.
        loss_weight: of the loss (alpha of the paper).
        regularizer: ``(h (B, V, F), **targets) -> scalar``, such as `FairKL`.
        regularizer_weight: of the regulariser (lambda of the paper).
        head_loss: ``(logits, target) -> scalar``, such as `common.methods.cross_entropy`; None
            leaves the head untrained.
        head_target: the column of the batch that the head learns.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module | None = None,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
        *,
        loss: nn.Module,
        views: int = 2,
        columns: Mapping[str, str] | None = None,
        loss_weight: float = 1.0,
        regularizer: nn.Module | None = None,
        regularizer_weight: float = 1.0,
        head_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        head_target: str = "label",
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(views >= 1, f"Contrastive: views must be at least 1, got {views}.")
        require(
            0 <= loss_weight < math.inf and 0 <= regularizer_weight < math.inf,
            "Contrastive: loss_weight and regularizer_weight must be at least 0 and finite, got "
            f"{loss_weight} and {regularizer_weight}.",
        )
        self.projector = nn.Identity() if projector is None else projector
        self.loss = loss
        self.views = views
        self.columns = dict(columns or {})
        self.loss_weight = loss_weight
        self.regularizer = regularizer
        self.regularizer_weight = regularizer_weight
        self.head_loss = head_loss
        self.head_target = head_target

    def needs(self) -> tuple[str, ...]:
        """Return the columns its losses read."""
        losses = [self.loss, *([self.regularizer] if self.regularizer is not None else [])]
        targets = [target for loss in losses for target in getattr(loss, "targets", ())]
        return tuple(self.columns.get(target, target) for target in targets)

    def needs_of_all(self) -> tuple[str, ...]:
        """Return the column of "y": a kernel compares every image's with every other's."""
        y = self.columns.get("y", "y")
        return tuple(column for column in self.needs() if column == y)

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the head phase (where there is one), then the encoder phase.

        Args:
            batch: "image" ``(B, C, *spatial)`` in [0, 1] or ``(B, F)``, and what the losses read.
        """
        targets = read_targets(self.loss, batch, self.columns)
        h = self._encoded(batch["image"])
        z = self.projector(h)
        if self.head_loss is not None:
            yield self._head_phase(self.head_loss, h[: len(batch["image"])], batch)
        contrast = self.loss(self._by_subject(z), **targets)
        loss, terms = self.loss_weight * contrast, {"contrastive": contrast.detach()}
        if self.regularizer is not None:
            targets = read_targets(self.regularizer, batch, self.columns)
            penalty = self.regularizer(self._by_subject(h), **targets)
            loss = loss + self.regularizer_weight * penalty
            terms["regularizer"] = penalty.detach()
        yield Phase("encoder", loss, terms)

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters of each phase; those of the head apart where it has a loss."""
        phases = super().phase_parameters()
        if self.head_loss is None:
            return phases
        head = [p for p in self.classifier.head.parameters() if p.requires_grad]
        apart = {id(p) for p in head}
        phases["encoder"] = [p for p in phases.get("encoder", []) if id(p) not in apart]
        return {name: p for name, p in {**phases, "head": head}.items() if p}

    def _encoded(self, x: Tensor) -> Tensor:
        """Return h ``(V B, F)`` of the views, all first views first.

        Where the encoder's activations are cached, so are the views: each part makes its own.
        """
        chunk = self.classifier.cache_chunk
        if chunk == 0:
            views = [self.transformed(x) for _ in range(self.views)]
            return self.classifier.encode(torch.cat(views) if self.views > 1 else views[0])
        with torch.no_grad():
            lam = [self.policy(x) for _ in range(self.views)]
        encoder = self.classifier.encoder
        return torch.cat(
            [encode_in_chunks(encoder, x, chunk, one, view=self.transform) for one in lam]
        )

    def _by_subject(self, rows: Tensor) -> Tensor:
        """Return ``(V B, D)`` as ``(B, V, D)``."""
        return rows.reshape(self.views, -1, *rows.shape[1:]).transpose(0, 1)

    def _head_phase(
        self, head_loss: Callable[[Tensor, Tensor], Tensor], h: Tensor, batch: Mapping[str, Any]
    ) -> Phase:
        require(
            self.head_target in batch,
            f"Contrastive: the batch must hold {self.head_target!r}, which the head learns, got "
            f"{', '.join(sorted(batch))}. Add the column to the manifest, or set head_target.",
        )
        loss = head_loss(self.classifier.head(h.detach()), batch[self.head_target])
        return Phase("head", loss, {})
