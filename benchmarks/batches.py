"""Random batches of what a benchmark holds in memory, for the trainer."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor


class Batches:
    """Batches of columns in a random order, new in every epoch, by PyTorch's global generator.

    Args:
        columns: name -> ``(N, ...)``; an "image" in bytes comes as float32 in [0, 1].
        size: rows of a batch.
        steps: so many batches, each drawn from all rows; None for one pass over the rows in whole
            batches, in which those left over wait for the next epoch.
    """

    def __init__(self, columns: Mapping[str, Tensor], size: int, steps: int | None = None) -> None:
        self.columns = columns
        self.size = size
        self.steps = steps

    def __len__(self) -> int:
        return len(self.columns["image"]) // self.size if self.steps is None else self.steps

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for rows in self._orders():
            batch = {name: column[rows] for name, column in self.columns.items()}
            if batch["image"].dtype == torch.uint8:
                batch["image"] = batch["image"].float() / 255
            yield batch

    def _orders(self) -> Iterable[Tensor]:
        count = len(self.columns["image"])
        if self.steps is None:
            return torch.randperm(count).split(self.size)[: len(self)]
        return (torch.randperm(count)[: self.size] for _ in range(self.steps))
