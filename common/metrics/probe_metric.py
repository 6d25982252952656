"""What the probes that watch a training have in common: they need the whole part at once."""

from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import Metric
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["ProbeMetric"]


class ProbeMetric(Metric):
    """Keeps representations and targets on the CPU, for ``compute`` to fit and test a probe on.

    Args:
        output_transform: ``engine.state.output -> (h (B, F), target (B,))``.
    """

    def __init__(
        self, output_transform: Callable[[Any], tuple[Tensor, Tensor]] = lambda output: output
    ) -> None:
        super().__init__(output_transform)

    def reset(self) -> None:
        """Forget everything."""
        self._h: list[Tensor] = []
        self._target: list[Tensor] = []

    def update(self, output: tuple[Tensor, Tensor]) -> None:
        """Add ``(h (B, F), target (B,))``."""
        h, target = output
        self._h.append(h.detach().float().cpu())
        self._target.append(target.detach().cpu())

    def kept(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return all that was added: ``h (N, F)`` float32 and ``target (N,)``."""
        return torch.cat(self._h).numpy(), torch.cat(self._target).numpy()
