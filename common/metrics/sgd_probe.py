"""A linear classifier on frozen features, trained by SGD, kept at its best validation epoch.

What Cheng et al. (2025) call fine-tuning, in their released code: features of random crops of the
training images, drawn anew in every epoch; cross entropy; SGD with momentum 0.9 and no weight
decay, at a rate of ``learning_rate * batch_size / 256`` that falls to 0 along half a cosine, epoch
by epoch; after every epoch the macro AUROC on the validation images; the classifier of the best
epoch is kept.

Differs from the released code: nothing known in the optimisation. Gradients of the encoder, which
that code computes but no optimiser uses, are not computed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from common.checks import require
from common.metrics.class_scores import macro_auroc

__all__ = ["SGDProbe", "fit_sgd_probe"]


@dataclass(frozen=True)
class SGDProbe:
    """A linear classifier and how it was found.

    Attributes:
        weight: ``(K, F)``.
        bias: ``(K,)``.
        epoch: the epoch it is of, counted from 1.
        validation: macro AUROC on the validation images after every epoch.
    """

    weight: Tensor
    bias: Tensor
    epoch: int
    validation: list[float]

    def probabilities(self, h: Tensor) -> NDArray[np.float64]:
        """Return ``(N, K)``, the softmax of the logits of ``h (N, F)``."""
        logits = nn.functional.linear(h.float(), self.weight, self.bias)
        return np.asarray(logits.double().softmax(dim=1))


def fit_sgd_probe(
    features: Callable[[], Tensor],
    label: NDArray[np.integer[Any]],
    validation: Tensor,
    validation_label: NDArray[np.integer[Any]],
    classes: int,
    *,
    epochs: int = 50,
    batch_size: int = 16,
    learning_rate: float = 0.001,
    seed: int = 0,
) -> SGDProbe:
    """Train a linear classifier and keep its best epoch.

    Args:
        features: called once an epoch, returns ``h (N, F)`` of the training images, of new random
            crops where the protocol has them. Seed what it draws.
        label: ``(N,)`` class from 0 of each training image.
        validation: ``(M, F)`` features of the validation images.
        validation_label: ``(M,)``, at least two classes.
        classes: K, number of classes.
        epochs: number of epochs.
        batch_size: images a step; the last step of an epoch takes what is left.
        learning_rate: for 256 images a step.
        seed: of the initial weights and the order of the images.

    Returns:
        The classifier of the first epoch of greatest validation AUROC.
    """
    require(epochs >= 1, f"fit_sgd_probe: epochs must be at least 1, got {epochs}.")
    generator = torch.Generator().manual_seed(seed)
    require(
        len(np.unique(validation_label)) >= 2,
        "fit_sgd_probe: validation_label must hold at least two classes, got "
        f"{np.unique(validation_label).tolist()}. Prepare a larger validation part.",
    )
    width = validation.shape[1]
    weight = torch.randn(classes, width, generator=generator).mul_(0.01).requires_grad_()
    bias = torch.zeros(classes, requires_grad=True)
    rate = learning_rate * batch_size / 256
    optimizer = torch.optim.SGD([weight, bias], lr=rate, momentum=0.9)
    target = torch.as_tensor(np.asarray(label), dtype=torch.long)
    best: SGDProbe | None = None
    scores: list[float] = []
    for epoch in range(epochs):
        optimizer.param_groups[0]["lr"] = rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
        h = features().float()
        order = torch.randperm(len(h), generator=generator)
        for rows in order.split(batch_size):  # type: ignore[no-untyped-call]  # torch's own
            logits = nn.functional.linear(h[rows], weight, bias)
            optimizer.zero_grad()
            nn.functional.cross_entropy(logits, target[rows]).backward()  # type: ignore[no-untyped-call]  # torch's own
            optimizer.step()
        kept = SGDProbe(weight.detach().clone(), bias.detach().clone(), epoch + 1, scores)
        scores.append(macro_auroc(validation_label, kept.probabilities(validation)))
        if best is None or scores[-1] > max(scores[:-1]):
            best = kept
    assert best is not None
    return best
