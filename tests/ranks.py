"""Two processes, joined by gloo, that compute the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

__all__ = ["WORLD", "assert_equal_to_one", "on_two_ranks"]

WORLD = 2


def on_two_ranks(compute: Callable[[], Any], folder: Path) -> list[Any]:
    """Return what `compute`, a function of a module, gives on rank 0 and on rank 1."""
    multiprocessing.spawn(_worker, args=(compute, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


def assert_equal_to_one(one: dict[str, Tensor], ranks: list[dict[str, Tensor]]) -> None:
    """Compare what ranks computed with one process: "value ..." is averaged over the ranks,
    "gradient ..." are the rows of each in turn, anything else is the same on every rank."""
    for name, expected in one.items():
        parts = [rank[name] for rank in ranks]
        if name.startswith("value"):
            parts = [torch.stack(parts).mean()]
        elif name.startswith("gradient"):
            parts = [torch.cat(parts)]
        for part in parts:
            torch.testing.assert_close(part, expected, rtol=0, atol=1e-12)


def _worker(rank: int, compute: Callable[[], Any], folder: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=WORLD)
    torch.save(compute(), Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()
