"""Sinkhorn and Knopp's iterations: spread a batch evenly over the prototypes.

Of all assignments Q (N, K) whose rows sum to 1 and whose columns sum to N / K, the one that
maximises ``<Q, scores> + epsilon H(Q)`` is ``diag(u) exp(scores / epsilon) diag(v)``; u and v are
found by normalising columns and rows in turn (Caron et al., SwAV, NeurIPS 2020, Eq. 3 to 5; Cuturi,
Sinkhorn distances, NeurIPS 2013). A few rounds are enough.

Differs from the released code: in logarithms, so that no score overflows at a small epsilon.

Paper: https://arxiv.org/abs/2006.09882
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, rank

__all__ = ["sinkhorn"]


@torch.no_grad()
def sinkhorn(
    scores: Tensor, *, epsilon: float = 0.05, rounds: int = 3, earlier: Tensor | None = None
) -> Tensor:
    """Assign rows to prototypes, each prototype about equally often.

    Args:
        scores: (N, K) of this rank, as many rows on every rank; the columns are balanced over the
            rows of all ranks.
        epsilon: softness, positive; large values give every prototype the same share of a row.
        rounds: at least 1.
        earlier: (M, K) scores of rows of a queue, the same on every rank, which are balanced along.

    Returns:
        (N, K), each row a distribution; no gradient.

    >>> sinkhorn(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    tensor([[0.5000, 0.5000],
            [0.5000, 0.5000]])
    """
    require(
        scores.dim() == 2 and min(scores.shape) >= 1 and scores.is_floating_point(),
        f"sinkhorn: scores must be floating (N, K), got {scores.dtype} {tuple(scores.shape)}.",
    )
    require(
        epsilon > 0 and rounds >= 1,
        f"sinkhorn: epsilon must be positive and rounds at least 1, got {epsilon} and {rounds}.",
    )
    wide = torch.promote_types(scores.dtype, torch.float32)
    logarithm = gather(scores.detach().to(wide)) / epsilon
    if earlier is not None:
        logarithm = torch.cat([logarithm, earlier.detach().to(wide) / epsilon])
    for _ in range(rounds):
        logarithm = logarithm.log_softmax(dim=0)  # every prototype to the same sum
        logarithm = logarithm.log_softmax(dim=1)  # every row to 1
    return logarithm.exp()[rank() * len(scores) :][: len(scores)]
