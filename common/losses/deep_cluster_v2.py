"""DeepCluster v2: every view is classified as the cluster that its subject was put into.

With s_vh the scores of view v for head h (cosines to that head's K centroids), a_h the subject's
cluster in that head's clustering, and T the temperature::

    l = - 1/H sum_h mean_v log softmax(s_vh / T)_{a_h}

averaged over the subjects and views that are assigned (Caron et al., Unsupervised learning of
visual features by contrasting cluster assignments, NeurIPS 2020, section 4.1 and appendix C;
https://github.com/facebookresearch/swav, ``main_deepclusterv2.py``). Clusters come from spherical
k-means over the previous epoch, `common.methods.DeepClusterV2`.

Differs from the released code: -1 marks a subject without a cluster, there it is -100.

Paper: https://arxiv.org/abs/2006.09882
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import mean
from common.losses.loss import Loss
from common.losses.rows import check_temperature

__all__ = ["DeepClusterV2", "deep_cluster_v2"]


def deep_cluster_v2(scores: Tensor, assignment: Tensor, *, temperature: float) -> Tensor:
    """Compute the cross entropy of cluster assignments, mean over heads.

    Args:
        scores: (B, V, H, K), V >= 1 views of B >= 1 subjects, H heads of K centroids, floating.
        assignment: (B, H), the number of each subject's cluster in each head; -1 for none, which
            leaves the subject out of that head.
        temperature: divides the scores, at least 0.002.

    Returns:
        Scalar, float32 or wider; a head without any assignment counts as 0.

    >>> scores = torch.zeros(1, 2, 1, 4)
    >>> round(float(deep_cluster_v2(scores, torch.tensor([[3]]), temperature=0.1)), 4)  # log 4
    1.3863
    """
    check_temperature("DeepClusterV2", temperature)
    require(
        scores.dim() == 4 and min(scores.shape) >= 1 and scores.is_floating_point(),
        f"DeepClusterV2: scores must be floating (B, V, H, K), got {scores.dtype} "
        f"{tuple(scores.shape)}.",
    )
    subjects, views, heads, clusters = scores.shape
    require(
        assignment.shape == (subjects, heads) and assignment.dtype == torch.long,
        f"DeepClusterV2: assignment must be int64 {(subjects, heads)}, got {assignment.dtype} "
        f"{tuple(assignment.shape)}.",
    )
    low, high = int(assignment.min()), int(assignment.max())
    require(
        low >= -1 and high < clusters,
        f"DeepClusterV2: assignment must lie between -1 and {clusters - 1}, got {low} to {high}.",
    )
    with torch.autocast(scores.device.type, enabled=False):
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        logarithm = (wide / temperature).log_softmax(dim=3)
        chosen = assignment.clamp(min=0)[:, None, :, None].expand(-1, views, -1, -1)
        terms = -logarithm.gather(3, chosen).squeeze(3)  # (B, V, H)
        assigned = (assignment >= 0)[:, None].expand_as(terms)
        every_head = [mean(terms[..., h], assigned[..., h]) for h in range(heads)]
        return torch.stack(every_head).mean()


class DeepClusterV2(Loss):
    """Classification of every view as its subject's cluster; see `deep_cluster_v2`."""

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__(temperature=temperature)
        check_temperature("DeepClusterV2", temperature)

    def forward(self, scores: Tensor, assignment: Tensor) -> Tensor:
        """Compute the loss of scores (B, V, H, K) and assignment (B, H)."""
        return deep_cluster_v2(scores, assignment, **self.settings)
