"""What the one engine asks of a method: the phases of a step, in order, each with its loss.

A method is a generator of phases. The engine pulls a phase, back-propagates its loss into the
parameters of that phase only, steps that phase's optimiser, and pulls the next one: code after a
``yield`` therefore sees the updated parameters. This is all the engine knows of a method.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from common.distributed import mean
from common.networks import ImageClassifier
from common.transforms import Composition

__all__ = ["Method", "Phase", "classification_loss"]


class Phase(NamedTuple):
    """One optimisation step: minimise `loss` in the parameters of phase `name`.

    `terms` are the detached parts of the loss, for the log. `keep_graph` says that a later phase of
    the same step back-propagates through the same graph.
    """

    name: str
    loss: Tensor
    terms: dict[str, Tensor]
    keep_graph: bool = False


class Method(nn.Module, ABC):
    """Encoder, heads, policy and loss of one published method.

    Args:
        classifier: the deployable network (`common.networks.ImageClassifier`): ``encode(x)`` gives
            h, ``head(h)`` the logits. ``forward`` is its prediction, so evaluators can use a method
            as a network.
        policy: who chooses ``lam`` from x; its parameters form the phase "policy".
        transform: ``(x, lam) -> x``.
    """

    def __init__(
        self, classifier: ImageClassifier, policy: nn.Module, transform: Composition
    ) -> None:
        super().__init__()
        self.classifier = classifier
        self.policy = policy
        self.transform = transform

    @abstractmethod
    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the phases of one training step for ``batch["image"]``, ``batch["label"]``, ..."""

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters each phase updates; phases without parameters are left out."""
        policy = [p for p in self.policy.parameters() if p.requires_grad]
        chosen = {id(p) for p in policy}
        encoder = [p for p in self.parameters() if p.requires_grad and id(p) not in chosen]
        return {name: p for name, p in (("policy", policy), ("encoder", encoder)) if p}

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, classes)`` of untransformed images."""
        logits: Tensor = self.classifier(x)
        return logits


def classification_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Binary cross entropy over the labelled images of all ranks.

    Args:
        logits: ``(B, classes)``.
        label: ``(B,)`` or ``(B, classes)``, 0 or 1; -1 = not labelled, which adds nothing.

    Returns:
        Scalar, mean over the labelled entries; 0 where a batch holds none.
    """
    target = label.to(logits).reshape(len(logits), -1)
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits, target.clamp(min=0.0), reduction="none"
    )
    return mean(losses, target >= 0)
