"""InfoNCE against a queue of keys: momentum contrast (MoCo).

For a query q, its key k (another view, encoded by the momentum encoder) and the K keys n of earlier
batches, with cosines over the temperature T::

    l = -log( e^{q k / T} / (e^{q k / T} + sum_n e^{q n / T}) )

averaged over the queries (He et al., Momentum contrast, CVPR 2020, Eq. 1). The keys of all ranks
enter the queue (`common.losses.queue`).

Differs from the released code: the queue's length need not be a multiple of the batch.

Paper: https://arxiv.org/abs/1911.05722
"""

import torch
from torch import Tensor

from common.checks import require
from common.losses.queue import Queue
from common.losses.repulsion import log_repulsion
from common.losses.rows import check_temperature, scaled_rows

__all__ = ["MoCo", "moco"]

_KEPT = 2**22  # pairs that are kept for the backward pass: 16 MB in float32


def moco(z: Tensor, key: Tensor, queue: Tensor, *, temperature: float) -> Tensor:
    """Compute InfoNCE of queries against their keys and a queue of other keys.

    Args:
        z: (B, V, D) queries, V >= 1 of each of B >= 1 subjects, any floating type.
        key: (B, V, D), the key of each query; receives no gradient.
        queue: (K, D) keys of other subjects, K >= 1; receives no gradient.
        temperature: divides the cosines, at least 0.002.

    Returns:
        Scalar, mean over this rank's queries, float32 or wider.

    >>> queue = torch.eye(4)[2:]  # a perfect positive, two orthogonal negatives
    >>> z = torch.eye(4)[:2, None]
    >>> round(float(moco(z, z, queue, temperature=1.0)), 4)
    0.5514
    """
    check_temperature("MoCo", temperature)
    _check(z, key, queue)
    with torch.autocast(z.device.type, enabled=False):
        return _against(z, key, scaled_rows(queue.detach(), 1.0), temperature)


def _check(z: Tensor, key: Tensor, queue: Tensor) -> None:
    require(
        z.dim() == 3 and min(z.shape) >= 1 and z.is_floating_point(),
        f"MoCo: z must be floating (B, V, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        key.shape == z.shape and key.is_floating_point(),
        f"MoCo: key must be floating {tuple(z.shape)}, got {key.dtype} {tuple(key.shape)}.",
    )
    require(
        queue.dim() == 2 and len(queue) >= 1 and queue.shape[1] == z.shape[2],
        f"MoCo: queue must be (K >= 1, {z.shape[2]}), got {tuple(queue.shape)}. Set features to "
        "the width of the projection.",
    )


def _all(rows: slice, columns: slice) -> float:
    """Every key of the queue repels every query."""
    return 1.0


def _against(z: Tensor, key: Tensor, unit: Tensor, temperature: float) -> Tensor:
    """Compute `moco` of a queue whose rows are of unit length."""
    queries = scaled_rows(z, temperature).flatten(0, 1)
    keys = scaled_rows(key.detach(), temperature).flatten(0, 1).to(queries)
    positive = (queries * keys).sum(dim=1)
    if queries.dtype == torch.double:  # rows kept in single precision are not of length 1 in double
        unit = scaled_rows(unit.double(), 1.0)
    negatives = log_repulsion(temperature**-0.5 * queries, unit, _all, kept=_KEPT)
    loss = (torch.logaddexp(positive, negatives) - positive).mean()
    return loss.to(torch.promote_types(z.dtype, torch.float32))


class MoCo(Queue):
    """InfoNCE against the keys of earlier batches, which the module keeps; see `moco` and `Queue`.

    The forward pass reads the queue and leaves it as it is; `enqueue` replaces its oldest keys.

    Args:
        queue: K, number of keys kept.
        features: D, width of the projection.
        temperature: divides the cosines.
        seed: of the random unit vectors the queue starts with.
    """

    targets: tuple[str, ...] = ()

    def __init__(
        self, queue: int = 65536, features: int = 128, temperature: float = 0.07, seed: int = 0
    ) -> None:
        super().__init__(queue, features, seed)
        check_temperature("MoCo", temperature)
        self.temperature = temperature

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{super().extra_repr()}, temperature={self.temperature}"

    def forward(self, z: Tensor, key: Tensor) -> Tensor:
        """Compute the loss of queries and keys (B, V, D)."""
        _check(z, key, self.queue)
        with torch.autocast(z.device.type, enabled=False):
            return _against(z, key, self.queue, self.temperature)
