"""k-means on directions: the clustering of DeepCluster v2 (Caron et al., NeurIPS 2020, appendix C).

Starting from rows drawn without repetition, in turn: every row goes to the centroid with the
largest cosine; every centroid becomes the direction of the sum of its rows. A cluster that loses
all its rows keeps its centroid, as in https://github.com/facebookresearch/swav.
"""

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather, rank, world_size

__all__ = ["spherical_k_means"]

_TILE = 4096  # rows compared with all centroids at once


@torch.no_grad()
def spherical_k_means(
    rows: Tensor, clusters: int, *, rounds: int = 10, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Cluster unit vectors; the ranks share the comparing and all find the same.

    Args:
        rows: (N, D) at unit length, the same on every rank.
        clusters: K, at most N.
        rounds: at least 1.
        seed: of the rows that it starts with.

    Returns:
        Centroids (K, D) at unit length, and the number of each row's, (N,) int64.
    """
    require(
        1 <= clusters <= len(rows),
        f"spherical_k_means: clusters must be between 1 and the {len(rows)} rows, got {clusters}.",
    )
    drawn = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:clusters]
    centroids = rows[drawn.to(rows.device)].clone()
    for _ in range(rounds):
        nearest = _nearest(rows, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, rows)
        filled = torch.bincount(nearest, minlength=clusters) > 0
        centroids[filled] = nn.functional.normalize(sums[filled], dim=1)
    return centroids, _nearest(rows, centroids)


def _nearest(rows: Tensor, centroids: Tensor) -> Tensor:
    """The number of each row's nearest centroid; each rank compares its share of the rows."""
    share = -(-len(rows) // world_size())
    mine = rows[rank() * share :][:share]
    found = [(tile @ centroids.T).argmax(dim=1) for tile in torch.split(mine, _TILE)]
    padded = torch.cat([*found, rows.new_zeros(share - len(mine), dtype=torch.long)])
    return gather(padded)[: len(rows)]
