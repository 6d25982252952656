"""Settings that change while a network learns, as handlers: functions of the iteration alone.

Each sets one attribute of an object before an iteration: of an optimiser (its parameter groups'
"lr", "weight_decay"), of a method ("momentum"), of a loss ("teacher_temperature"). Nothing is
kept between iterations, so a resumed run needs nothing restored: its values are those the
uninterrupted run would have had.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from ignite.engine import Engine, Events
from torch.optim import Optimizer

from common.checks import require

__all__ = ["CosineSchedule", "ExponentialSchedule", "LinearSchedule", "StepSchedule"]


class Schedule(ABC):
    """Set an attribute before every iteration.

    Args:
        target: what has the attribute; of an optimiser, its parameter groups.
        attribute: its name; one that does not exist is refused.
        groups: of an optimiser, the parameter groups that are set, counted from 0; None is all.
    """

    def __init__(self, target: Any, attribute: str, groups: Sequence[int] | None = None) -> None:
        name = type(self).__name__
        owners = target.param_groups if isinstance(target, Optimizer) else [vars(target)]
        known = [attribute in owner or hasattr(target, attribute) for owner in owners]
        require(
            all(known),
            f"{name}: attribute must be one of {type(target).__name__}, got {attribute!r}.",
        )
        chosen = range(len(owners)) if groups is None else groups
        require(
            all(0 <= index < len(owners) for index in chosen),
            f"{name}: groups must be below {len(owners)}, got {groups}.",
        )
        self.target = target
        self.attribute = attribute
        self.groups = groups

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.ITERATION_STARTED, self._set)

    @abstractmethod
    def value(self, iteration: int, epoch_length: int, max_epochs: int) -> Any:
        """Return the value in `iteration`, from 0, of a run of so many epochs of so many."""

    def _set(self, engine: Engine) -> None:
        state: Any = engine.state
        epochs = getattr(engine, "total_epochs", state.max_epochs)
        value = self.value(state.iteration - 1, state.epoch_length, epochs)
        if not isinstance(self.target, Optimizer):
            setattr(self.target, self.attribute, value)
            return
        for index, group in enumerate(self.target.param_groups):
            if self.groups is None or index in self.groups:
                group[self.attribute] = value


class CosineSchedule(Schedule):
    """Rise linearly in the first epochs, then go from `start` to `end` along half a cosine.

    With w = warmup_epochs * epoch_length warm-up iterations of n in all, iteration i (from 0) has::

        warmup_start + (start - warmup_start) i / (w - 1)                      i < w
        end + (start - end) (1 + cos(pi (i - w) / (n - w))) / 2                otherwise

    as ``cosine_scheduler`` of facebookresearch/dino. DINO's rate goes from 0 to ``start = 0.0005 *
    batch / 256`` in 10 epochs and to 1e-6, its weight decay from 0.04 to 0.4 and the teacher's
    momentum from 0.996 to 1, both without warm-up. A run that ends within its warm-up ends there.

    Args:
        target: see `Schedule`.
        attribute: see `Schedule`.
        start: value at the end of the warm-up.
        end: value towards which the run ends; its last iteration is one step before it.
        warmup_epochs: epochs of the linear part.
        warmup_start: value of the first iteration, where there is a warm-up.
        groups: see `Schedule`.
    """

    def __init__(
        self,
        target: Any,
        attribute: str,
        start: float,
        end: float,
        warmup_epochs: int = 0,
        warmup_start: float = 0.0,
        groups: Sequence[int] | None = None,
    ) -> None:
        super().__init__(target, attribute, groups)
        require(
            warmup_epochs >= 0,
            f"CosineSchedule: warmup_epochs must be at least 0, got {warmup_epochs}.",
        )
        self.start = start
        self.end = end
        self.warmup_epochs = warmup_epochs
        self.warmup_start = warmup_start

    def value(self, iteration: int, epoch_length: int, max_epochs: int) -> float:
        """Return the value of the formula above."""
        warmup = self.warmup_epochs * epoch_length
        if iteration < warmup:
            share = iteration / max(warmup - 1, 1)
            return self.warmup_start + (self.start - self.warmup_start) * share
        share = (iteration - warmup) / (max_epochs * epoch_length - warmup)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * share)) / 2


class ExponentialSchedule(Schedule):
    """Go from `start` to `end` by the same factor in every iteration.

    Iteration i (from 0) of n has ``start (end / start)^(i / n)``: a setting that falls over orders
    of magnitude, such as the weight of an entropy, spends as many iterations in each of them.

    Args:
        target: see `Schedule`.
        attribute: see `Schedule`.
        start: value of the first iteration, above 0.
        end: value towards which the run ends, above 0; its last iteration is one step before it.
    """

    def __init__(self, target: Any, attribute: str, start: float, end: float) -> None:
        super().__init__(target, attribute)
        require(
            start > 0 and end > 0,
            f"ExponentialSchedule: start and end must be above 0, got {start} and {end}.",
        )
        self.start = start
        self.end = end

    def value(self, iteration: int, epoch_length: int, max_epochs: int) -> float:
        """Return the value of the formula above."""
        share = iteration / (max_epochs * epoch_length)
        return float(self.start * (self.end / self.start) ** share)


class LinearSchedule(Schedule):
    """Go from `start` to `end` in equal steps over the first `epochs`, then stay at `end`.

    DINO's teacher temperature: epoch e (from 0) has ``start + (end - start) e / (epochs - 1)``.
    """

    def __init__(
        self, target: Any, attribute: str, start: float, end: float, epochs: int = 0
    ) -> None:
        super().__init__(target, attribute)
        require(epochs >= 0, f"LinearSchedule: epochs must be at least 0, got {epochs}.")
        self.start = start
        self.end = end
        self.epochs = epochs

    def value(self, iteration: int, epoch_length: int, max_epochs: int) -> float:
        """Return the value of the epoch that holds `iteration`."""
        epoch = iteration // epoch_length
        if epoch >= self.epochs:
            return self.end
        return self.start + (self.end - self.start) * epoch / max(self.epochs - 1, 1)


class StepSchedule(Schedule):
    """Be `first` in the first `epochs`, `then` afterwards, such as DINO's frozen last layer."""

    def __init__(self, target: Any, attribute: str, first: Any, then: Any, epochs: int) -> None:
        super().__init__(target, attribute)
        require(epochs >= 0, f"StepSchedule: epochs must be at least 0, got {epochs}.")
        self.first = first
        self.then = then
        self.epochs = epochs

    def value(self, iteration: int, epoch_length: int, max_epochs: int) -> Any:
        """Return the value of the epoch that holds `iteration`."""
        return self.first if iteration < self.epochs * epoch_length else self.then
