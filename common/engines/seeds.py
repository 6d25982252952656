"""Where random numbers of a training begin: at every step, by its place in the epoch."""

from functools import lru_cache

import numpy as np
import torch

from common import distributed

__all__ = ["reseed"]

_BLOCK = 32  # places whose seeds are made at once, which is quicker


def reseed(device: str | torch.device, seed: int, epoch: int, number: int) -> None:
    """Draw from here on what is drawn there whenever an epoch comes to it.

    Args:
        device: of the training.
        seed: of the training.
        epoch: from 1.
        number: of the place in the epoch.
    """
    block, place = divmod(number, _BLOCK)
    first, own = _seeds(seed, epoch, distributed.rank(), block)[place]
    if torch.device(device).type == "cpu":
        torch.default_generator.manual_seed(own)
    else:  # seeds all devices, and takes time for those that nobody uses
        torch.manual_seed(own)
    np.random.seed(own % 2**32)  # noqa: NPY002  MONAI's transforms draw from the global state
    distributed.seed_draws(device, first)


@lru_cache(maxsize=4)
def _seeds(seed: int, epoch: int, rank: int, block: int) -> list[tuple[int, int]]:
    """Return what to draw from at `_BLOCK` places of an epoch: what all ranks do, and this one."""

    def drawn(*key: int) -> int:
        return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)

    places = range(block * _BLOCK, (block + 1) * _BLOCK)
    return [(drawn(seed, epoch, 0, k, 1), drawn(seed, epoch, rank, k)) for k in places]
