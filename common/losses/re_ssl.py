"""ReSSL: two views stand in the same relation to the images of a queue.

With q the query (one view), k its key (a weakly transformed view, encoded by the momentum encoder),
n the rows of a queue of earlier keys, cosines, and the temperatures T and T_t::

    l = - mean_i sum_n softmax(k_i n / T_t)_n log softmax(q_i n / T)_n

(Zheng et al., ReSSL: Relational self-supervised learning with weak augmentation, NeurIPS 2021,
section 3.)

Differs from the paper: nothing known.

Paper: https://arxiv.org/abs/2107.09282
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.loss import Loss
from common.losses.rows import check_temperature, scaled_rows

__all__ = ["ReSSL", "re_ssl"]


def re_ssl(
    query: Tensor, key: Tensor, queue: Tensor, *, temperature: float, teacher_temperature: float
) -> Tensor:
    """Compute the cross entropy of two relations to a queue.

    Args:
        query: (B, D), B >= 1 subjects, any floating type.
        key: (B, D), the same subjects by the momentum encoder; receives no gradient.
        queue: (K, D) earlier keys, K >= 1; receives no gradient.
        temperature: T, divides the query's cosines, at least 0.002.
        teacher_temperature: T_t, divides the key's cosines, at least 0.002.

    Returns:
        Scalar, mean over this rank's subjects, float32 or wider.

    >>> rows = torch.eye(3)  # the query is orthogonal to both rows of the queue: log 2
    >>> loss = re_ssl(rows[:1], rows[1:2], rows[1:], temperature=0.1, teacher_temperature=0.04)
    >>> round(float(loss), 4)
    0.6931
    """
    check_temperature("ReSSL", temperature)
    check_temperature("ReSSL", teacher_temperature)
    require(
        query.dim() == 2 and min(query.shape) >= 1 and query.is_floating_point(),
        f"ReSSL: query must be floating (B, D), got {query.dtype} {tuple(query.shape)}.",
    )
    require(
        key.shape == query.shape and key.is_floating_point(),
        f"ReSSL: key must be floating {tuple(query.shape)}, got {key.dtype} {tuple(key.shape)}.",
    )
    require(
        queue.dim() == 2 and len(queue) >= 1 and queue.shape[1] == query.shape[1],
        f"ReSSL: queue must be (K >= 1, {query.shape[1]}), got {tuple(queue.shape)}.",
    )
    with torch.autocast(query.device.type, enabled=False):
        q, k, bank = (scaled_rows(rows, 1.0) for rows in (query, key.detach(), queue.detach()))
        student = (q @ bank.to(q).T / temperature).log_softmax(dim=1)
        teacher = (k.to(q) @ bank.to(q).T / teacher_temperature).softmax(dim=1)
        return -(teacher * student).sum(dim=1).mean()


class ReSSL(Loss):
    """Cross entropy of the relations of two views to a queue; see `re_ssl`."""

    def __init__(self, temperature: float = 0.1, teacher_temperature: float = 0.04) -> None:
        super().__init__(temperature=temperature, teacher_temperature=teacher_temperature)
        check_temperature("ReSSL", temperature)
        check_temperature("ReSSL", teacher_temperature)

    def forward(self, query: Tensor, key: Tensor, queue: Tensor) -> Tensor:
        """Compute the loss of query and key (B, D) and queue (K, D)."""
        return re_ssl(query, key, queue, **self.settings)
