"""What the one engine asks of a method: the phases of a step, in order, each with its loss.

A method is a generator of phases. The engine pulls a phase, back-propagates its loss into the
parameters of that phase only, steps that phase's optimiser, and pulls the next one: code after a
``yield`` therefore sees the updated parameters. This is all the engine knows of a method.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks import ImageClassifier

__all__ = ["Method", "Phase"]


class Phase(NamedTuple):
    """One optimisation step: minimise `loss` in the parameters of phase `name`.

    `terms` are the detached parts of the loss, for the log. `keep_graph` says that a later phase of
    the same step back-propagates through the same graph. `also` names phases whose parameters take
    their gradients from this loss too; such a phase is yielded before, only for the log, with a
    loss that has no gradient.
    """

    name: str
    loss: Tensor
    terms: dict[str, Tensor]
    keep_graph: bool = False
    also: tuple[str, ...] = ()


class NoPolicy(nn.Module):
    """Choose nothing: ``lam (B, 0)``."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``lam (B, 0)`` for ``x (B, ...)``."""
        return x.new_empty(len(x), 0)


class NoTransform(nn.Module):
    """Leave images as they are."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        """Return `x`."""
        return x


class Method(nn.Module, ABC):
    """Encoder, heads, policy and loss of one published method.

    Args:
        classifier: the deployable network (`common.networks.ImageClassifier`): ``encode(x)`` gives
            h, ``head(h)`` the logits. ``forward`` is its prediction, so evaluators can use a method
            as a network.
        policy: who chooses ``lam`` from x; its parameters form the phase "policy".
        transform: ``(x, lam) -> x``, such as `common.transforms.Composition`; None (then `policy`
            is None too) leaves images, or the rows of a table, as they are.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        policy: nn.Module | None = None,
        transform: nn.Module | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        require(
            (policy is None) == (transform is None),
            f"{name}: policy and transform must both be given or both be None, got "
            f"{type(policy).__name__} and {type(transform).__name__}.",
        )
        self.classifier = classifier
        self.policy = NoPolicy() if policy is None else policy
        self.transform = NoTransform() if transform is None else transform

    @abstractmethod
    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the phases of one training step for ``batch["image"]``, ``batch["label"]``, ..."""

    def begin_epoch(self) -> None:
        """Do what an epoch begins with, before its first batch; the engine calls it."""

    def needs(self) -> tuple[str, ...]:
        """Return the columns it learns from, which must be known for some images; none here."""
        return ()

    def needs_of_all(self) -> tuple[str, ...]:
        """Return those of them that must be known for every image; none here."""
        return ()

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters each phase updates; phases without parameters are left out."""
        policy = [p for p in self.policy.parameters() if p.requires_grad]
        chosen = {id(p) for p in policy}
        encoder = [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]
        return {name: p for name, p in (("policy", policy), ("encoder", encoder)) if p}

    def transformed(self, x: Tensor) -> Tensor:
        """Return `x` under parameters the policy chooses now; no gradient reaches the policy."""
        with torch.no_grad():
            moved: Tensor = self.transform(x, self.policy(x))
        return moved

    def views_of(self, x: Tensor) -> list[Tensor]:
        """Return views of `x`, as a step draws them, to be looked at; none where it moves none."""
        return [] if isinstance(self.transform, NoTransform) else [self.transformed(x)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of untransformed images."""
        logits: Tensor = self.classifier(x)
        return logits
