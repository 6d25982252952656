"""Many processes that compute what one process would: gather, masked mean, averaged gradients.

The convention, used by every loss and method: rank r of W holds its own B / W subjects, computes
the mean over its OWN anchors against the bank gathered from ALL ranks, and the gradients are then
averaged over ranks (`average_gradients`). The average of the W values, and the averaged gradient,
equal those of one process at the whole batch. That holds because `gather` sends the gradients back
to the rank a row came from, and because `mean` scales by the labels of all ranks, not by its own.
(A loss that gathers without gradients, or a plain mean over unequal label counts, does not.)

Without ``torch.distributed`` initialised, or with one rank, all functions are the identity or the
plain local operation. Every rank must make the same calls in the same order.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from common.checks import require

__all__ = [
    "anywhere",
    "apart",
    "average_gradients",
    "broadcast_parameters",
    "gather",
    "host_group",
    "join",
    "mean",
    "rank",
    "seed_draws",
    "uniform",
    "world_size",
]

_draws: dict[str, torch.Generator] = {}  # by the type of the device; see `seed_draws`
_patience = timedelta(minutes=30)  # see `join`
_BUCKET = 2**24  # elements reduced at once: bounds the copy to 64 MiB in float32


def rank() -> int:
    """Index of this process, 0 when there is only one."""
    return dist.get_rank() if _initialised() else 0


def world_size() -> int:
    """Number of processes, 1 when ``torch.distributed`` is not initialised."""
    return dist.get_world_size() if _initialised() else 1


def join(device: str | torch.device, timeout_minutes: float = 30.0) -> None:
    """Become one of the processes of a training, by the environment that torchrun gives each.

    Args:
        device: of this process; NCCL joins GPUs, gloo processors.
        timeout_minutes: after which a process that waits for another one, which was stopped or
            cannot be reached, ends with an error.

    Raises:
        InputError: torchrun may restart several machines, and has one store for all restarts.
    """
    global _patience
    _patience = timedelta(minutes=timeout_minutes)
    if torch.device(device).type != "cuda":
        dist.init_process_group("gloo", timeout=_patience, **_store())
        return
    torch.cuda.set_device(device)
    # NCCL ends a process without a word: `host_group`, which raises, is to notice first
    dist.init_process_group("nccl", timeout=_patience + timedelta(minutes=1), **_store())


def _store() -> dict[str, Any]:
    """Where torchrun's processes find each other after a restart, else what PyTorch takes.

    Its one store still holds where killed ones listened (github.com/pytorch/pytorch/issues/135712).
    """
    told = os.environ.get
    if told("TORCHELASTIC_USE_AGENT_STORE") != "True" or told("TORCHELASTIC_MAX_RESTARTS") == "0":
        return {}
    require(
        told("GROUP_WORLD_SIZE") == "1",  # several machines count restarts each for itself
        "torchrun: --max-restarts on several machines must come with a store for each restart, got "
        "none. Set TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun, on each.",
    )
    found = dist.rendezvous("env://", timeout=_patience)  # type: ignore[attr-defined]
    store, rank, world_size = next(found)
    restart = told("TORCHELASTIC_RESTART_COUNT", "0")
    own = dist.PrefixStore(restart, store)  # type: ignore[attr-defined]
    return {"store": own, "rank": rank, "world_size": world_size}


def seed_draws(device: str | torch.device, seed: int | None) -> None:
    """Let `uniform` draw on `device` from this seed, the same on all ranks; None as it did before.

    Whoever trains does so before every step, and gives None at the end.
    """
    place = torch.device(device).type
    if seed is None:
        _draws.pop(place, None)
    else:
        if place not in _draws:
            _draws[place] = torch.Generator(device)
        _draws[place].manual_seed(seed)


def uniform(rows: int, columns: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Draw numbers for the images of this rank: those that one process would draw for them.

    Rank r of W holds the rows r, r + W, ... of a batch, as `common.engines.EpochSampler` deals
    them.

    Args:
        rows: images of this rank, as many on every rank.
        columns: numbers of each.
        device: where to draw; from PyTorch's global generator there before `seed_draws`.
        dtype: of the result.

    Returns:
        ``(rows, columns)`` in [0, 1).
    """
    generator = _draws.get(device.type)
    if generator is None:
        return torch.rand(rows, columns, device=device, dtype=dtype)
    every = (rows * world_size(), columns)
    drawn = torch.rand(every, generator=generator, device=device, dtype=dtype)
    return drawn[rank() :: world_size()]


def host_group() -> Any:
    """Return a group of all ranks that reduces tensors in the memory of the host.

    None is the default one, where that does. All ranks call this.
    """
    if world_size() == 1 or dist.get_backend() == "gloo":
        return None
    return dist.new_group(backend="gloo", timeout=_patience)


def apart() -> Any:
    """Return a group of all ranks whose collectives those of the default one cannot come between.

    All ranks call this.
    """
    return dist.new_group(timeout=_patience)


def gather(z: Tensor) -> Tensor:
    """Concatenate the rows of all ranks in rank order, keeping gradients.

    The gradient of a row is the sum, over ranks, of what each rank asks of it. Both directions
    are collective: all ranks call this, and all ranks run (or none runs) the backward pass.

    Args:
        z: (n, ...) rows of this rank, the same shape on every rank.

    Returns:
        (W * n, ...), rows of rank 0 first; `z` itself when there is one rank.

    Raises:
        InputError: on every rank alike, when the shapes differ between ranks.

    >>> gather(torch.eye(2)).shape
    torch.Size([2, 2])
    """
    if world_size() == 1:
        return z
    _require_equal_shapes(z)
    gathered: Tensor = _Gather.apply(z)  # type: ignore[no-untyped-call]
    return gathered


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average `values` where `mask` holds, over the entries of all ranks.

    Returns this rank's sum * W / (count over all ranks), so that the average over ranks of the
    result, and of its gradient, is the mean over all selected entries, however unevenly the
    ranks share them (labels are rare: some ranks have none).

    Args:
        values: any shape; entries outside the mask are ignored.
        mask: bool, same shape.

    Returns:
        Scalar; 0 with zero gradient when nothing is selected on any rank.

    >>> mean(torch.tensor([1.0, 3.0, 50.0]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    require(
        mask.shape == values.shape and mask.dtype == torch.bool,
        f"mean: mask must be bool of shape {tuple(values.shape)}, "
        f"got {mask.dtype} {tuple(mask.shape)}.",
    )
    count = mask.sum()
    if world_size() > 1:
        dist.all_reduce(count)
    return torch.where(mask, values, 0).sum() * world_size() / count.clamp(min=1)


def anywhere(flag: Tensor) -> Tensor:
    """Return whether `flag`, a bool scalar, is True on any rank, on its device."""
    if world_size() == 1:
        return flag
    everyones = flag.to(torch.int32)
    dist.all_reduce(everyones, op=dist.ReduceOp.MAX)
    return everyones > 0


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each ``.grad`` by its average over ranks, in place.

    A gradient that is None on some ranks counts as zero there; one that is None on all ranks
    stays None, as in one process. Call it once per optimiser step, after the last backward pass.

    Args:
        parameters: the same parameters in the same order on every rank.
    """
    if world_size() == 1:
        return
    wanted = [p for p in parameters if p.requires_grad]
    if not wanted:
        return
    used = torch.tensor([p.grad is not None for p in wanted], dtype=torch.int32)
    used = used.to(wanted[0].device)
    dist.all_reduce(used, op=dist.ReduceOp.MAX)
    for parameter, anywhere in zip(wanted, used.tolist()):
        if anywhere and parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    for bucket in _buckets(p.grad for p in wanted if p.grad is not None):
        flat = torch.cat([gradient.flatten() for gradient in bucket])
        dist.all_reduce(flat)
        flat /= world_size()
        start = 0
        for gradient in bucket:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()


@torch.no_grad()
def broadcast_parameters(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0, in place.

    Args:
        module: the same architecture on every rank.
    """
    if world_size() == 1:
        return
    for tensor in [*module.parameters(), *module.buffers()]:
        sent = tensor.detach().clone(memory_format=torch.contiguous_format)
        dist.broadcast(sent, src=0)
        tensor.copy_(sent)


class _Gather(torch.autograd.Function):
    """All-gather whose gradient is the all-reduced gradient, cut to this rank's rows."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.rows = len(z)
        parts = [torch.empty(z.shape, dtype=z.dtype, device=z.device) for _ in range(world_size())]
        dist.all_gather(parts, z.detach().contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[rank() * ctx.rows :][: ctx.rows]


def _initialised() -> bool:
    return dist.is_available() and dist.is_initialized()


def _require_equal_shapes(z: Tensor) -> None:
    """Compare shapes by a collective of fixed size, so that no rank waits for another."""
    mine = torch.tensor([len(z), z.numel()], device=z.device)
    shapes = [torch.empty_like(mine) for _ in range(world_size())]
    dist.all_gather(shapes, mine)
    rows = [int(shape[0]) for shape in shapes]
    require(
        all(torch.equal(shape, shapes[0]) for shape in shapes),
        f"gather: z must have the same shape on every rank, got {rows} rows. "
        "Use drop_last=True, or the same batch size on every rank.",
    )


def _buckets(gradients: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group gradients of one dtype and device up to `_BUCKET` elements, keeping their order."""
    groups: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for gradient in gradients:
        key = (gradient.dtype, gradient.device)
        group = groups.setdefault(key, [])
        if group and sum(g.numel() for g in group) + gradient.numel() > _BUCKET:
            yield group
            group = groups[key] = []
        group.append(gradient)
    yield from groups.values()
