"""One optimiser per phase of a method."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.optim import Adam, Optimizer

from common.checks import require
from common.methods import Method

__all__ = ["PhaseOptimizers"]


class PhaseOptimizers:
    """The optimisers of a method's phases, saved and restored as one object.

    A learning-rate schedule is PyTorch's, made of one of them (``optimizers["encoder"]``), stepped
    by MONAI's `LrScheduleHandler` on every rank, and named among the objects of `Checkpoint`.

    Args:
        network: the method; its ``phase_parameters`` say which parameters each phase updates.
        learning_rates: phase name -> learning rate. A rate for a phase that has no parameters (M's
            under random transformations) is not used; a phase with parameters needs one.
        optimizer: makes an optimiser from parameters and ``lr``; Adam unless given. Phases that
            differ in more than their rate have one each: phase name -> maker.
    """

    def __init__(
        self,
        network: Method,
        learning_rates: Mapping[str, float],
        optimizer: Callable[..., Optimizer] | Mapping[str, Callable[..., Optimizer]] = Adam,
    ) -> None:
        self.parameters: dict[str, list[nn.Parameter]] = network.phase_parameters()
        missing = sorted(set(self.parameters) - set(learning_rates))
        require(
            not missing,
            f"PhaseOptimizers: learning_rates must name every phase that learns, lacks {missing}.",
        )
        each = (
            optimizer
            if isinstance(optimizer, Mapping)
            else dict.fromkeys(learning_rates, optimizer)
        )
        require(
            set(self.parameters) <= set(each) <= set(learning_rates),
            f"PhaseOptimizers: optimizer must name the phases of learning_rates, "
            f"{sorted(learning_rates)}, got {sorted(each)}.",
        )
        self.by_phase = {
            name: each[name](parameters, lr=learning_rates[name])
            for name, parameters in self.parameters.items()
        }

    def __getitem__(self, phase: str) -> Optimizer:
        return self.by_phase[phase]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_phase)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every optimiser by phase name."""
        return {name: optimizer.state_dict() for name, optimizer in self.by_phase.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; the phases must be the same."""
        require(
            set(state) == set(self.by_phase),
            f"PhaseOptimizers: the checkpoint has the phases {sorted(state)}, this run "
            f"{sorted(self.by_phase)}. Resume with the configuration that wrote it.",
        )
        for name, optimizer in self.by_phase.items():
            optimizer.load_state_dict(state[name])
