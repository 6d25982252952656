"""DINO: a student learns, from small crops, what its momentum encoder makes of large ones.

One training step, with G global and L local views of every image, a student (encoder f, head g) and
its momentum encoder, the teacher (Caron et al., Emerging properties in self-supervised vision
transformers, ICCV 2021, Algorithm 1, and its multi-crop; facebookresearch/dino,
``train_one_epoch``)::

    teacher sees the G global views, student all G + L
    f, g:  minimise  `common.losses.DINO`(student, teacher)
    c      <- the loss's centre, moved towards the teacher's mean
    teacher <- m teacher + (1 - m) student
    p:     minimise  head_loss(p(teacher's h of the first view), label)        no gradient to f

Differs from the released code: nothing known in the step. p, a linear classifier that watches the
training, is ours and has no influence on it. Gradients are clipped by the optimiser
(`common.engines.ClippedAdamW`), schedules are handlers (`common.engines.CosineSchedule`).

Paper: https://arxiv.org/abs/2104.14294
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from common.checks import require
from common.losses import DINO as DINOLoss
from common.methods.method import Method, Phase
from common.methods.momentum_encoder import MomentumEncoder
from common.methods.multi_crop import MultiCrop, ViewGroup
from common.networks import DINOHead, ImageClassifier
from common.networks.vit_blocks import DropPath

__all__ = ["DINO"]


class DINO(Method):
    """Self-distillation without labels; see the module.

    What is deployed is the teacher: the encoder of `classifier` becomes the student, and
    ``classifier.encoder`` is replaced by the momentum encoder, which drops no paths and which no
    phase updates. So ``models/model.pt``, `forward` and every evaluation of ``classifier`` use the
    teacher's weights, as the paper does.

    Phases: "encoder" (the student's encoder and head), and "head" (``classifier.head``) where there
    is a `head_loss`. With gradient accumulation the teacher follows, and the centre moves, with
    every batch, not with every step of the optimiser.

    Args:
        classifier: encoder f, see above, and head p.
        head: g, `common.networks.DINOHead`; reads the last ``head.in_features`` columns of h.
        global_views: groups of large views, which teacher and student see; two views in DINO.
        local_views: groups of small views, which the student sees; eight views in DINO.
        loss: `common.losses.DINO`, of as many prototypes as `head` has.
        momentum: m, an attribute of the same name that `common.engines.CosineSchedule` may raise
            to 1, as DINO does.
        head_loss: ``(logits, target) -> scalar``, such as `common.methods.cross_entropy`; None
            leaves p untrained.
        head_target: the column of the batch that p learns.
    """

    def __init__(
        self,
        classifier: ImageClassifier,
        head: DINOHead,
        global_views: Sequence[ViewGroup],
        local_views: Sequence[ViewGroup] = (),
        *,
        loss: DINOLoss,
        momentum: float = 0.996,
        head_loss: Callable[[Tensor, Tensor], Tensor] | None = None,
        head_target: str = "label",
    ) -> None:
        super().__init__(classifier)
        self.global_views = nn.ModuleList(global_views)
        self.local_views = nn.ModuleList(local_views)
        self._seen = sum(group.count for group in global_views)
        self._views = self._seen + sum(group.count for group in local_views)
        require(
            self._seen >= 1 and self._views >= 2,
            f"DINO: global_views must be at least 1 and all views at least 2, got {self._seen} and "
            f"{self._views}.",
        )
        require(
            loss.center.shape[1] == head.out_features,
            f"DINO: loss must have the {head.out_features} prototypes of the head, got "
            f"{loss.center.shape[1]}. Set its out_features.",
        )
        require(0 <= momentum <= 1, f"DINO: momentum must be between 0 and 1, got {momentum}.")
        self.student = MultiCrop(classifier.encoder, head)
        self.teacher = MomentumEncoder(self.student)
        for module in self.teacher.modules():
            if isinstance(module, DropPath):
                module.rate = 0.0
        classifier.encoder = self._teacher.encoder
        self.loss = loss
        self.momentum = momentum
        self.head_loss = head_loss
        self.head_target = head_target

    def steps(self, batch: Mapping[str, Any]) -> Iterator[Phase]:
        """Yield the head phase (where there is one), then the encoder phase.

        Args:
            batch: "image" ``(B, C, H, W)`` in [0, 1], and the target of the head where it learns.
        """
        x = batch["image"]
        large = [view for group in self.global_views for view in group(x)]
        local = [view for group in self.local_views for view in group(x)]
        with torch.no_grad():
            h = self._teacher.encode(large)
            target = self._by_subject(self._teacher.project(h), self._seen)
        z = self._by_subject(self.student(large + local), self._views)
        if self.head_loss is not None:
            yield self._head_phase(self.head_loss, h[: len(x)], batch)
        loss = self.loss(z, target)
        yield Phase("encoder", loss, {"dino": loss.detach()})
        self.loss.update_center(target)
        self.teacher.follow(self.student, self.momentum)

    def views_of(self, x: Tensor) -> list[Tensor]:
        """Return a view of each group."""
        return [group(x)[0] for group in (*self.global_views, *self.local_views)]

    def phase_parameters(self) -> dict[str, list[nn.Parameter]]:
        """Return the student's parameters, and those of p where it has a loss."""
        learning = {"encoder": self.student.parameters()}
        if self.head_loss is not None:
            learning["head"] = self.classifier.head.parameters()
        return {name: [p for p in every if p.requires_grad] for name, every in learning.items()}

    @property
    def _teacher(self) -> MultiCrop:
        teacher = self.teacher.module
        assert isinstance(teacher, MultiCrop)
        return teacher

    def _by_subject(self, rows: Tensor, views: int) -> Tensor:
        """Return ``(V B, K)`` as ``(B, V, K)``."""
        return rows.reshape(views, -1, *rows.shape[1:]).transpose(0, 1)

    def _head_phase(
        self, head_loss: Callable[[Tensor, Tensor], Tensor], h: Tensor, batch: Mapping[str, Any]
    ) -> Phase:
        require(
            self.head_target in batch,
            f"DINO: the batch must hold {self.head_target!r}, which the head learns, got "
            f"{', '.join(sorted(batch))}. Add the column to the manifest, or set head_target.",
        )
        return Phase("head", head_loss(self.classifier.head(h), batch[self.head_target]), {})
