"""The rows of earlier batches, which MoCo, NNCLR, NNBYOL and ReSSL compare with.

It starts with random unit vectors, as in MoCo's released code (He et al., Momentum contrast, CVPR
2020, https://arxiv.org/abs/1911.05722, section 3.1). The rows of all ranks enter it in rank order,
so W ranks of batch B / W hold the queue of one process of batch B.
"""

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather
from common.losses.rows import scaled_rows

__all__ = ["Queue"]


class Queue(nn.Module):
    """The K last rows at unit length. Its buffers are state: a resumed training goes on with them.

    Args:
        length: K, number of rows kept.
        features: D, width of a row.
        seed: of the random unit vectors the queue starts with.
    """

    queue: Tensor
    position: Tensor

    def __init__(self, length: int, features: int, seed: int = 0) -> None:
        super().__init__()
        require(
            min(length, features) >= 1,
            f"{type(self).__name__}: queue and features must be at least 1, got {length} and "
            f"{features}.",
        )
        start = torch.randn(length, features, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("queue", scaled_rows(start, 1.0))
        self.register_buffer("position", torch.zeros((), dtype=torch.long))

    def extra_repr(self) -> str:
        """Show the size."""
        length, features = self.queue.shape
        return f"queue={length}, features={features}"

    @torch.no_grad()
    def nearest(self, rows: Tensor) -> Tensor:
        """Return the row of the queue with the largest cosine to each of `rows` (..., D)."""
        wanted = scaled_rows(rows, 1.0).to(self.queue)
        return self.queue[(wanted @ self.queue.T).argmax(dim=-1)]

    @torch.no_grad()
    def enqueue(self, rows: Tensor) -> None:
        """Replace the oldest rows by those of all ranks, at unit length, rank 0 first.

        Args:
            rows: (B, ..., D) of this rank. Of more than the queue holds, the last ones stay.
        """
        entering = gather(scaled_rows(rows.detach(), 1.0)).flatten(0, -2).to(self.queue)
        length, first = len(self.queue), int(self.position)
        places = torch.arange(first, first + len(entering), device=entering.device)
        self.queue[places[-length:] % length] = entering[-length:]
        self.position.fill_((first + len(entering)) % length)
