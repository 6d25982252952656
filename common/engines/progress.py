"""A progress bar over a whole training."""

import sys
from typing import Any

from ignite.engine import Engine, Events
from tqdm import tqdm

__all__ = ["Progress"]


class Progress:
    """A handler that shows epochs done, time left and the loss, on standard error.

    In a terminal the bar moves ten times a second; a log file gets it every half minute.
    """

    def __init__(self) -> None:
        self._bar = tqdm(disable=True)  # a run may fail before it starts

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`, whose output holds "loss"."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._advance)
        engine.add_event_handler(Events.COMPLETED, self._end)
        engine.add_event_handler(Events.EXCEPTION_RAISED, self._fail)

    def _start(self, engine: Engine) -> None:
        state: Any = engine.state
        total = state.max_epochs * state.epoch_length
        self._bar = tqdm(
            total=total,
            initial=state.iteration,
            unit="batch",
            desc="training",
            mininterval=0.1 if sys.stderr.isatty() else 30.0,
        )

    def _advance(self, engine: Engine) -> None:
        state: Any = engine.state
        self._bar.set_postfix(
            epoch=state.epoch, loss=f"{state.output[0]['loss']:.3f}", refresh=False
        )
        self._bar.update(state.iteration - self._bar.n)

    def _end(self, _: Engine) -> None:
        self._bar.close()

    def _fail(self, engine: Engine, error: BaseException) -> None:
        self._end(engine)
        raise error
