"""Minus the cosine between what one view predicts and what another view is: BYOL and SimSiam.

With p_v the prediction made from view v, z_v the projection of view v, taken as a constant, and
cosines between them::

    l = - mean_{u != v} cos(p_u, z_v)

averaged over the subjects. Two views give SimSiam's loss (Chen and He, 2021, Eq. 2). BYOL's squared
distance of unit vectors, summed over both directions (Grill et al., 2020, Eq. 2 and section 3.1),
is ``4 + 4 l``: `common.methods.BYOL` minimises that. There are no negatives, so nothing is gathered
from other ranks.

Differs from the papers: nothing known.

Papers: https://arxiv.org/abs/2006.07733, https://arxiv.org/abs/2011.10566
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.loss import Loss
from common.losses.rows import scaled_rows

__all__ = ["NegativeCosine", "negative_cosine"]


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Compute minus the mean cosine over ordered pairs of different views.

    Args:
        prediction: (B, V, D), V >= 2 views of B >= 1 subjects, any floating type.
        target: (B, V, D), the projection each view is predicted to have; receives no gradient.

    Returns:
        Scalar in [-1, 1], mean over this rank's subjects, float32 or wider.

    >>> views = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    >>> float(negative_cosine(views, views.flip(1)))
    -1.0
    """
    require(
        prediction.dim() == 3
        and min(prediction.shape) >= 1
        and prediction.shape[1] >= 2
        and prediction.is_floating_point(),
        f"NegativeCosine: prediction must be floating (B, V >= 2, D), got {prediction.dtype} "
        f"{tuple(prediction.shape)}.",
    )
    require(
        target.shape == prediction.shape and target.is_floating_point(),
        f"NegativeCosine: target must be floating {tuple(prediction.shape)}, got {target.dtype} "
        f"{tuple(target.shape)}.",
    )
    views = prediction.shape[1]
    with torch.autocast(prediction.device.type, enabled=False):
        p, z = scaled_rows(prediction, 1.0), scaled_rows(target.detach(), 1.0)
        # cos(p_u, z_v): each view against the views 1, 2, … places further
        cosines = [(p * z.roll(k, dims=1)).sum(dim=-1) for k in range(1, views)]
        return -torch.stack(cosines).mean()


class NegativeCosine(Loss):
    """The loss of SimSiam and, but for a factor and a constant, of BYOL; see `negative_cosine`.

    It compares the outputs of two networks, so it is called with both, by the methods that have
    them; it reads no column of the batch.
    """

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of two tensors (B, V, D)."""
        return negative_cosine(prediction, target)
