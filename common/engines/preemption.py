"""A training that is asked to end (SIGTERM) does so after the step it is at, on all ranks alike."""

from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from common import distributed
from common.config import termination

__all__ = ["Preemption"]


class Preemption:
    """Says after each step whether the training is to end there.

    The signal is held while an epoch's steps last: they end, and what they learned can be saved.
    Ranks are asked one after the other, or only those of one machine; each step begins with a look
    at all of them, which costs nothing by its end.
    """

    def __init__(self) -> None:
        self._signal = termination()
        self._asked = torch.zeros(1, dtype=torch.int32)
        self._looking: Any = None

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`, on all ranks."""
        self._group = distributed.host_group()
        engine.add_event_handler(Events.EPOCH_STARTED, self._hold, True)
        engine.add_event_handler(Events.ITERATION_STARTED, self._look)
        engine.add_event_handler(Events.EXCEPTION_RAISED, lambda *_: self._hold(False))

    def _hold(self, held: bool) -> None:
        self._signal.held = held

    def _look(self) -> None:
        self._asked.fill_(int(self._signal.asked))
        if distributed.world_size() > 1:
            self._looking = dist.all_reduce(
                self._asked, op=dist.ReduceOp.MAX, group=self._group, async_op=True
            )

    def asked(self, last: bool) -> bool:
        """Return at the end of a step whether any rank had been asked to end when it began.

        Args:
            last: whether it is the epoch's last; validation, which may follow, is not waited for.
        """
        if self._looking is not None:
            self._looking.wait()
            self._looking = None
        elif self._signal.asked:
            self._asked.fill_(1)
        if last:
            self._hold(False)
        return bool(self._asked)
