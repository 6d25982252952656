"""Learned transformations: Ruppli et al. 2022, Eq. 1 to 3 and the steps of section 2.1.

"Optimizing transformations for contrastive learning in a differentiable framework". With
X_M = T(X; M(X)), l the contrastive loss between g(f(X_M)) and g(f(X)), and BCE the binary cross
entropy of p(f(.)) on the labelled images, one training step is

    M:        minimise  -alpha_0 l + alpha_1 BCE(X_M)                   (f, g, p fixed)
    f, g, p:  minimise   alpha_2 l + alpha_3 BCE(X_M) + alpha_4 BCE(X)  (X_M from the updated M)

Differs from the paper: Eq. 1 prints the opposite signs for the contrastive terms, which contradicts
its own Eq. 2 (already a loss) and its text ("M ... minimise mutual information", "brings closer
positive pairs"); the text is followed. "Shared" updates (below) are ours. No code was released.

Paper: https://arxiv.org/abs/2207.13367
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from common.checks import require
from common.methods.labelled_loss import classification_loss
from common.methods.method import Method, Phase
from common.networks import ImageClassifier
from common.transforms import Composition

__all__ = ["LearnedTransforms"]


class _Seen(NamedTuple):
    z: Tensor
    logits: Tensor


class LearnedTransforms(Method):
    """Contrastive learning with transformations chosen by a policy, and a little supervision.

    Args:
        classifier: encoder f and classifier p, see `Method`.
        projector: projection head g, ``h -> z``.
        policy: M (`common.policies.TransformationNetwork`), or a random policy, which has no
            parameters and so no M phase: the paper's "random" strategies.
        transform: `common.transforms.Composition`.
        loss: ``z (B, 2, D) -> scalar``, ``z[:, 0]`` transformed; the paper's is
            `common.losses.DecoupledInfoNCE` with temperature 1.
        alpha: alpha_0 ... alpha_4 of Eq. 1.
        update: "alternate", the paper's: M steps first, then f sees the images of the updated M;
            the untransformed images are encoded once. "shared": both phases use one forward pass,
            which saves one pass of f, T and M; f then sees the images of M before its step. Where
            M sees no labels (alpha_1 = alpha_3 = 0), one backward pass serves both as well: l is
            all that M changes, so its gradient is -alpha_0 / alpha_2 times what reaches X_M on the
            encoder's way. With labels there are two vector-Jacobian products.
        policy_every: M steps once in this many training steps; the other steps train f alone.
        policy_warmup: so many training steps pass before M's first one. Ours: an f that has learned
            nothing cannot tell M what to keep.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        projector: nn.Module,
        policy: nn.Module,
        transform: Composition,
        loss: nn.Module,
        alpha: Sequence[float] = (1.0, 10.0, 1.0, 1.0, 1.0),
        update: str = "alternate",
        policy_every: int = 1,
        policy_warmup: int = 0,
    ) -> None:
        super().__init__(classifier, policy, transform)
        require(
            len(alpha) == 5 and all(0 <= weight < math.inf for weight in alpha),
            f"LearnedTransforms: alpha must be five finite weights >= 0, got {alpha}.",
        )
        require(
            update in ("alternate", "shared"),
            f"LearnedTransforms: update must be 'alternate' or 'shared', got {update!r}.",
        )
        require(
            policy_every >= 1,
            f"LearnedTransforms: policy_every must be at least 1, got {policy_every}.",
        )
        require(
            policy_warmup >= 0,
            f"LearnedTransforms: policy_warmup must be 0 or more steps, got {policy_warmup}.",
        )
        self.projector = projector
        self.loss = loss
        self.alpha = tuple(float(a) for a in alpha)
        self.update = update
        self.policy_every = policy_every
        self.policy_warmup = policy_warmup
        self._step = 0

    def needs(self) -> tuple[str, ...]:
        """Return "label" where a weight of the binary cross entropy is above 0."""
        return ("label",) if max(self.alpha[1], *self.alpha[3:]) > 0 else ()

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the M phase (where M has parameters and it is its turn), then the encoder phase.

        Args:
            batch: "image" ``(B, C, *spatial)`` in [0, 1]; "label" ``(B,)``, -1 = not labelled.
        """
        x, label = batch["image"], batch["label"]
        learns = any(p.requires_grad for p in self.policy.parameters())
        since = self._step - self.policy_warmup
        turn = learns and since >= 0 and since % self.policy_every == 0
        self._step += 1
        if turn and self.update == "shared":
            yield from self._shared(x, label)
        else:
            yield from self._alternate(x, label, turn)

    def _alternate(self, x: Tensor, label: Tensor, turn: bool) -> Iterator[Phase]:
        plain = self._look(x)
        if turn:
            moved = self._look(self.transform(x, self.policy(x)))
            agreement = self._contrast(moved.z, plain.z.detach())
            yield self._policy_phase(agreement, classification_loss(moved.logits, label))
        moved = self._look(self.transformed(x))
        yield self._encoder_phase(
            self._contrast(moved.z, plain.z),
            classification_loss(moved.logits, label),
            classification_loss(plain.logits, label),
        )

    def _shared(self, x: Tensor, label: Tensor) -> Iterator[Phase]:
        alpha_0, alpha_1, alpha_2, alpha_3, _ = self.alpha
        at_once = alpha_2 > 0 and alpha_1 == alpha_3 == 0
        plain = self._look(x)
        x_m = self.transform(x, self.policy(x))
        if at_once:
            x_m.register_hook(lambda slope: -alpha_0 / alpha_2 * slope)
        moved = self._look(x_m)
        agreement = self._contrast(moved.z, plain.z)
        moved_bce = classification_loss(moved.logits, label)
        plain_bce = classification_loss(plain.logits, label)
        policy = self._policy_phase(agreement, moved_bce)
        encoder = self._encoder_phase(agreement, moved_bce, plain_bce)
        if at_once:
            yield policy._replace(loss=policy.loss.detach())
            yield encoder._replace(also=("policy",))
        else:
            yield policy._replace(keep_graph=True)
            yield encoder

    def get_extra_state(self) -> Tensor:
        """Return the number of training steps taken, so that a resumed run keeps M's turns."""
        return torch.tensor(self._step)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore what `get_extra_state` returned."""
        self._step = int(state)

    def _look(self, x: Tensor) -> _Seen:
        h = self.classifier.encode(x)
        return _Seen(self.projector(h), self.classifier.head(h))

    def _contrast(self, moved: Tensor, plain: Tensor) -> Tensor:
        contrast: Tensor = self.loss(torch.stack([moved, plain], dim=1))
        return contrast

    def _policy_phase(self, contrast: Tensor, bce: Tensor) -> Phase:
        loss = -self.alpha[0] * contrast + self.alpha[1] * bce
        terms = {"contrastive": contrast.detach(), "transformed_bce": bce.detach()}
        return Phase("policy", loss, terms)

    def _encoder_phase(self, contrast: Tensor, moved_bce: Tensor, plain_bce: Tensor) -> Phase:
        loss = self.alpha[2] * contrast + self.alpha[3] * moved_bce + self.alpha[4] * plain_bce
        terms = {
            "contrastive": contrast.detach(),
            "transformed_bce": moved_bce.detach(),
            "untransformed_bce": plain_bce.detach(),
        }
        return Phase("encoder", loss, terms)
