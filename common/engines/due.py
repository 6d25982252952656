"""When a run is saved: every so many epochs, steps or minutes."""

import re
import time

from common.checks import require

__all__ = ["Due"]

_EVERY = re.compile(r"(\d+(?:\.\d+)?) (epoch|step|minute)s?")


class Due:
    """Says whether the next checkpoint is due.

    Args:
        every: such as "1 epoch", "500 steps" or "10 minutes"; minutes may have a fraction.

    >>> Due("500 steps").within(iteration=499, epoch_length=1000)
    False
    """

    def __init__(self, every: str) -> None:
        match = _EVERY.fullmatch(str(every))
        count = float(match[1]) if match else 0.0
        require(
            match is not None and count > 0 and (match[2] == "minute" or count == int(count)),
            f"checkpoint_every: must be a number of epochs, steps or minutes, such as '1 epoch', "
            f"'500 steps' or '10 minutes', got {every!r}.",
        )
        assert match is not None
        self.count, self.unit = count, match[2]
        self._iteration = 0
        self._time = time.monotonic()

    def saved(self, iteration: int) -> None:
        """Count from here: the run was saved, or begun, after so many iterations."""
        self._iteration, self._time = iteration, time.monotonic()

    def within(self, iteration: int, epoch_length: int) -> bool:
        """Whether one is due after `iteration`, which is not an epoch's last."""
        return self.unit != "epoch" and self.at_end(iteration, epoch_length)

    def at_end(self, iteration: int, epoch_length: int) -> bool:
        """Whether one is due after `iteration`, an epoch's last."""
        if self.unit == "minute":
            return time.monotonic() - self._time >= 60 * self.count
        steps = self.count * (epoch_length if self.unit == "epoch" else 1)
        return iteration - self._iteration >= steps
