"""Gradients averaged over ranks while the backward pass that makes them goes on.

Parameters are put into buckets from the last to the first, the order in which gradients come. A
bucket is sent as soon as its gradients are there and the buckets before it are sent, so that all
ranks send in one order, also where one of them has no gradient for a parameter. Parameters that no
rank had a gradient for in the first step, such as a head that is not trained, are idle: no bucket
waits for them, and ranks tell each other by numbers of the host whether one has come to life. The
group is its own: what losses gather meanwhile cannot come between. DDP does the same, but wants one
forward pass of one module; here a phase's loss may go through any of a method's modules.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from common.distributed import world_size

__all__ = ["OverlappedAverage"]

_BUCKET = 2**22  # elements sent at once: 16 MiB in float32


class OverlappedAverage:
    """Averages the gradients of a phase over ranks, as `common.distributed.average_gradients` does.

    Args:
        parameters: the same in the same order on every rank.
        group: of all ranks, used for nothing that could come between.
        host: of all ranks, which reduces tensors of the host; None is the default one.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], group: Any, host: Any = None) -> None:
        self._arrange([p for p in reversed(parameters) if p.requires_grad])
        self._idle: list[nn.Parameter] | None = None  # not known before the first step
        self._group, self._host = group, host
        self._missing: list[int] = []  # gradients that a bucket waits for
        self._sent: list[tuple[Tensor, Any]] = []

    @property
    def sent(self) -> int:
        """Buckets on their way."""
        return len(self._sent)

    @contextmanager
    def during(self) -> Iterator[None]:
        """Send buckets while the backward pass inside goes on, the last one before a step."""
        self._missing = [len(bucket) for bucket in self._buckets]
        hooks = [
            p.register_post_accumulate_grad_hook(self._arrived)  # type: ignore[no-untyped-call]
            for bucket in self._buckets
            for p in bucket
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def finish(self) -> None:
        """Send what is left, wait, and replace each gradient by its average, in place.

        A gradient that is None here counts as zero, and stays None where it is None on all ranks.
        """
        alive = torch.tensor([p.grad is not None for p in self._idle or ()]).int()
        told = dist.all_reduce(alive, group=self._host, async_op=True) if len(alive) else None
        while self.sent < len(self._buckets):
            self._send(self._buckets[self.sent])
        if told is not None:
            told.wait()
            if alive.any():
                self._send(self._idle or [])
        never: list[nn.Parameter] = []
        for bucket, (flat, work) in zip([*self._buckets, self._idle or []], self._sent):
            work.wait()
            flat /= world_size()
            *parts, used = torch.split(flat, [p.numel() for p in bucket] + [len(bucket)])
            for number, (parameter, part) in enumerate(zip(bucket, parts)):
                if parameter.grad is not None:
                    parameter.grad.copy_(part.view_as(parameter))
                elif used[number] > 0:  # read by a rank without this gradient alone
                    parameter.grad = part.view_as(parameter).clone()
                else:
                    never.append(parameter)
        self._sent = []
        if self._idle is None:
            self._idle = never
            idle = {id(p) for p in never}
            self._arrange([p for bucket in self._buckets for p in bucket if id(p) not in idle])

    def _arrange(self, parameters: Sequence[nn.Parameter]) -> None:
        self._buckets = _buckets(parameters)
        self._of = {id(p): number for number, bucket in enumerate(self._buckets) for p in bucket}

    def _arrived(self, parameter: Tensor) -> None:
        self._missing[self._of[id(parameter)]] -= 1
        while self.sent < len(self._buckets) and self._missing[self.sent] == 0:
            self._send(self._buckets[self.sent])

    def _send(self, bucket: Sequence[nn.Parameter]) -> None:
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
        used = torch.tensor([p.grad is not None for p in bucket])
        flat = torch.cat([*(part.detach().flatten() for part in parts), used.to(parts[0])])
        self._sent.append((flat, dist.all_reduce(flat, group=self._group, async_op=True)))


def _buckets(parameters: Sequence[nn.Parameter]) -> list[list[nn.Parameter]]:
    """Group parameters of one dtype and device up to `_BUCKET` elements, keeping their order."""
    buckets: list[list[nn.Parameter]] = []
    for parameter in parameters:
        last = buckets[-1] if buckets else []
        kind = (parameter.dtype, parameter.device)
        fits = last and (last[0].dtype, last[0].device) == kind
        if fits and sum(p.numel() for p in last) + parameter.numel() <= _BUCKET:
            last.append(parameter)
        else:
            buckets.append([parameter])
    return buckets
