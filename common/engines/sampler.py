"""Shuffling that depends on (seed, epoch) alone, for one process or many."""

from collections.abc import Iterator, Sized
from itertools import islice

from torch.utils.data import DistributedSampler

from common.distributed import rank, world_size

__all__ = ["EpochSampler"]


class EpochSampler(DistributedSampler):  # type: ignore[type-arg]
    """PyTorch's `DistributedSampler` over however many ranks there are, one included.

    MONAI's workflows call ``set_epoch`` on it, so the order of an epoch follows from its number and
    a resumed run sees the batches the uninterrupted run would have seen. With W ranks of batch B/W,
    step t of all ranks together sees the images that one process of batch B sees at step t; images
    that do not go round all ranks are left out of that epoch, none is seen twice.

    Args:
        dataset: what is sampled.
        seed: of the order; the same on every rank.
        shuffle: False keeps the order of the dataset.
    """

    def __init__(self, dataset: Sized, seed: int = 0, shuffle: bool = True) -> None:
        super().__init__(
            dataset,  # type: ignore[arg-type]
            num_replicas=world_size(),
            rank=rank(),
            shuffle=shuffle,
            seed=seed,
            drop_last=True,
        )
        self._done = 0

    def begin_after(self, done: int) -> None:
        """Leave out the first `done` images of this rank the next time it is iterated over."""
        self._done = done

    def __iter__(self) -> Iterator[int]:
        done, self._done = self._done, 0
        return islice(super().__iter__(), done, None)
