"""Two or four processes, joined by gloo, that compute the same function."""

import atexit
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import Tensor

__all__ = ["WORLD", "assert_equal_to_one", "on_ranks", "on_two_ranks"]

WORLD = 2
PATIENCE = 600  # seconds that no rank may need, so that ranks which wait for each other end
FORKS = multiprocessing.get_context("forkserver")  # imports once for all ranks
FORKS.set_forkserver_preload(["common.engines", "common.losses", "monai.bundle"])
Member = tuple[Any, Connection]  # a process and our end of the pipe to it
_RANKS: list[Member] = []


def on_two_ranks(compute: Callable[[], Any], folder: Path, joined: bool = True) -> list[Any]:
    """Return what `compute` gives on rank 0 and on rank 1; see `on_ranks`."""
    return on_ranks(WORLD, compute, folder, joined)


def on_ranks(
    world: int, compute: Callable[[], Any], folder: Path, joined: bool = True
) -> list[Any]:
    """Return what `compute` gives on each of so many ranks.

    The processes are started once and serve all tests: starting them takes most of the time.

    Args:
        world: how many.
        compute: a function of a module, or a `functools.partial` of one.
        folder: an empty one.
        joined: whether they are a group already; else they have torchrun's variables to become one.
    """
    _RANKS.extend(map(_started, range(len(_RANKS), world)))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    waiting = {pipe for _, pipe in _RANKS[:world]}
    for pipe in waiting:
        pipe.send((compute, str(folder), port if not joined else None, world))
    while waiting:
        ready = wait(list(waiting), PATIENCE)
        if not ready:
            _stop()
            raise RuntimeError(f"{len(waiting)} of {world} ranks did not end")
        for pipe in ready:
            error = _received(pipe)  # type: ignore[arg-type]
            if error:  # the other rank would wait forever
                _stop()
                raise RuntimeError(error)
            waiting.remove(pipe)  # type: ignore[arg-type]
    return [torch.load(folder / f"{rank}.pt") for rank in range(world)]


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


def _started(rank: int) -> Member:
    ours, theirs = FORKS.Pipe()
    process = FORKS.Process(target=_serve, args=(rank, theirs))
    process.start()
    theirs.close()
    return process, ours


def _received(pipe: Connection) -> str:
    try:
        return str(pipe.recv())
    except EOFError:
        return "a rank ended"


@atexit.register
def _stop() -> None:
    for process, _ in _RANKS:
        process.kill()
        process.join()
    _RANKS.clear()


def _serve(rank: int, pipe: Connection) -> None:
    """Compute what is asked for, one after the other; answer "" or the traceback."""
    torch.set_num_threads(1)
    while True:
        try:
            compute, folder, port, world = pipe.recv()
        except EOFError:
            return
        try:
            _compute(rank, world, compute, Path(folder), port)
            pipe.send("")
        except BaseException:
            pipe.send(traceback.format_exc())


def _compute(
    rank: int, world: int, compute: Callable[[], Any], folder: Path, port: int | None
) -> None:
    if port is None:
        store = f"file://{folder}/store"
        dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    else:
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_PORT": port}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", **{k: str(v) for k, v in place.items()}}
    try:
        torch.save(compute(), folder / f"{rank}.pt")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
        for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_PORT", "MASTER_ADDR"):
            os.environ.pop(name, None)
