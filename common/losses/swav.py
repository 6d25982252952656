"""SwAV: the prototypes assigned to one view are predicted from the other views.

With s_v the scores of view v (cosines to K prototypes), q_u the assignment of view u, which sums to
1, and T the temperature::

    l = - mean_{u != v} sum_k q_uk log softmax(s_v / T)_k

averaged over the subjects and over ordered pairs of different views (Caron et al., Unsupervised
learning of visual features by contrasting cluster assignments, NeurIPS 2020, Eq. 1 and 2; two views
give half of its sum of both directions). Assignments come from Sinkhorn and Knopp's iterations over
the batch, `common.methods.SwAV`.

Differs from the paper: the mean over pairs, as in the released code, not the sum.

Paper: https://arxiv.org/abs/2006.09882
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.loss import Loss
from common.losses.rows import check_temperature

__all__ = ["SwAV", "swav"]


def swav(scores: Tensor, assignments: Tensor, *, temperature: float) -> Tensor:
    """Compute the swapped prediction of assignments.

    Args:
        scores: (B, V, K), V >= 2 views of B >= 1 subjects, any floating type.
        assignments: (B, V, K), each row a distribution over the K prototypes; no gradient.
        temperature: divides the scores, at least 0.002.

    Returns:
        Scalar, mean over this rank's subjects, float32 or wider.

    >>> scores, assignments = torch.zeros(1, 2, 4), torch.eye(4)[None, :2]
    >>> round(float(swav(scores, assignments, temperature=0.1)), 4)  # log 4
    1.3863
    """
    check_temperature("SwAV", temperature)
    require(
        scores.dim() == 3
        and min(scores.shape) >= 1
        and scores.shape[1] >= 2
        and scores.is_floating_point(),
        f"SwAV: scores must be floating (B, V >= 2, K), got {scores.dtype} {tuple(scores.shape)}.",
    )
    require(
        assignments.shape == scores.shape and assignments.is_floating_point(),
        f"SwAV: assignments must be floating {tuple(scores.shape)}, got {assignments.dtype} "
        f"{tuple(assignments.shape)}.",
    )
    views, wide = scores.shape[1], torch.promote_types(scores.dtype, torch.float32)
    with torch.autocast(scores.device.type, enabled=False):
        logarithm = (scores.to(wide) / temperature).log_softmax(dim=2)
        q = assignments.detach().to(wide)
        others = q.sum(dim=1, keepdim=True) - q  # of each view v, the q_u of all other views
        return -(others * logarithm).sum(dim=(1, 2)).mean() / (views * (views - 1))


class SwAV(Loss):
    """Swapped prediction of prototype assignments; see `swav`."""

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__(temperature=temperature)
        check_temperature("SwAV", temperature)

    def forward(self, scores: Tensor, assignments: Tensor) -> Tensor:
        """Compute the loss of scores and assignments (B, V, K)."""
        return swav(scores, assignments, **self.settings)
