"""A progress bar over a whole training."""

import sys

from tqdm import tqdm

__all__ = ["Progress"]


class Progress:
    """Epochs done, time left and the loss, on standard error.

    In a terminal the bar moves ten times a second; a log file gets it every half minute.

    Args:
        total: iterations of the whole training.
        done: iterations that an earlier process did.
    """

    def __init__(self, total: int, done: int) -> None:
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="batch",
            desc="training",
            mininterval=0.1 if sys.stderr.isatty() else 30.0,
        )

    def advance(self, iteration: int, epoch: int, loss: float) -> None:
        """Move to `iteration`."""
        self._bar.set_postfix(epoch=epoch, loss=f"{loss:.3f}", refresh=False)
        self._bar.update(iteration - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
