"""Losses of predictions, averaged over the labelled entries of all ranks.

Each is ``(prediction, target) -> scalar`` and 0 where no rank holds a labelled entry, so that a
method may be given any of them.
"""

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import mean

__all__ = ["absolute_error", "classification_loss", "cross_entropy"]


def classification_loss(logits: Tensor, label: Tensor, positive_weight: float = 1.0) -> Tensor:
    """Binary cross entropy over the labelled images of all ranks.

    Args:
        logits: ``(B, classes)``.
        label: ``(B,)`` or ``(B, classes)``, 0 or 1; -1 = not labelled, which adds nothing.
        positive_weight: factor of the term of label 1, against too few cases.

    Returns:
        Scalar, mean over the labelled entries; 0 where a batch holds none.
    """
    target = label.to(logits).reshape(len(logits), -1)
    losses = nn.functional.binary_cross_entropy_with_logits(
        logits,
        target.clamp(min=0.0),
        reduction="none",
        pos_weight=logits.new_tensor(positive_weight),
    )
    return mean(losses, target >= 0)


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """Cross entropy of exclusive classes over the labelled images of all ranks.

    Args:
        logits: ``(B, classes)``, at least 2 classes.
        label: ``(B,)``, 0 ... classes - 1; -1 = not labelled, which adds nothing.

    Returns:
        Scalar, mean over the labelled images; 0 where a batch holds none.
    """
    require(
        logits.shape[1] >= 2,
        f"cross_entropy: logits must be of at least 2 classes, got {logits.shape[1]}. Set "
        "num_classes of the classifier, or use classification_loss.",
    )
    target = label.long()
    losses = nn.functional.cross_entropy(logits, target.clamp(min=0), reduction="none")
    return mean(losses, target >= 0)


def absolute_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Absolute error (the l1 loss, of age for instance) over the known targets of all ranks.

    Args:
        prediction: ``(B, targets)``, or ``(B, 1)`` for targets ``(B,)``.
        target: ``(B,)`` or ``(B, targets)``; NaN = not known, which adds nothing.

    Returns:
        Scalar, mean over the known entries, in the unit of the target and in float32 or wider;
        0 where a batch holds none.
    """
    prediction = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
    truth = target.to(prediction).reshape(len(prediction), -1)
    require(
        truth.shape == prediction.shape,
        f"absolute_error: target must have shape {tuple(prediction.shape)}, got "
        f"{tuple(target.shape)}. Set num_classes of the classifier.",
    )
    known = ~truth.isnan()
    return mean((prediction - truth.where(known, 0)).abs(), known)
