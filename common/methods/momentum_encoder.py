"""The momentum encoder of BYOL, MoCo and DINO: its weights follow the trained ones."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from common.checks import require

__all__ = ["MomentumEncoder"]


class MomentumEncoder(nn.Module):
    """A copy of `module` that `follow` moves a little towards it: ``w' <- m w' + (1 - m) w``.

    The copy's parameters ask for no gradient, so no phase updates them, and its forward pass keeps
    no graph. Buffers (running means of a normalisation) are the copy's own: it keeps computing them
    from what it sees itself, as in the three released codes.

    Args:
        module: the trained network; copied as it is now.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = deepcopy(module).requires_grad_(False)

    @torch.no_grad()
    def follow(self, module: nn.Module, momentum: float) -> None:
        """Move towards `module`: 0 copies it, 1 stays. Call it after the optimiser's step."""
        require(
            0 <= momentum <= 1,
            f"MomentumEncoder: momentum must be between 0 and 1, got {momentum}.",
        )
        pairs = list(zip(self.module.parameters(), module.parameters(), strict=True))
        slow = [one for one, _ in pairs]
        fast = [other.to(one.dtype) for one, other in pairs]
        get_ema_multi_avg_fn(momentum)(slow, fast, None)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return what the copy makes of the arguments, without a graph."""
        out: Tensor = self.module(*args, **kwargs)
        return out
