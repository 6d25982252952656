"""AdamW as DINO uses it: every gradient clipped by itself, no decay of biases and norms.

The engine averages gradients over ranks and takes the loss scale out of them before an optimiser
steps, so clipping belongs to the step (facebookresearch/dino, ``utils.py``: ``clip_gradients``,
``get_params_groups``).
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from common.checks import require

__all__ = ["ClippedAdamW"]


class ClippedAdamW(AdamW):
    """AdamW whose gradients of each parameter have at most a given length.

    A gradient g of length above `clip` becomes ``g clip / (|g| + 1e-6)``. The parameter groups are
    0, of two dimensions and more, with `weight_decay`, and 1, of one dimension (biases,
    normalisations), without.

    Args:
        params: the parameters of a phase.
        lr: learning rate.
        weight_decay: of group 0; `common.engines.CosineSchedule` may raise it with ``groups=[0]``.
        clip: greatest length of the gradient of one parameter, 3 in DINO; None leaves gradients as
            they are.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter],
        lr: float = 0.0005,
        weight_decay: float = 0.04,
        clip: float | None = 3.0,
    ) -> None:
        require(
            clip is None or clip > 0, f"ClippedAdamW: clip must be positive or None, got {clip}."
        )
        every = list(params)
        groups = [
            {"params": [p for p in every if p.dim() > 1], "weight_decay": weight_decay},
            {"params": [p for p in every if p.dim() <= 1], "weight_decay": 0.0},
        ]
        super().__init__(groups, lr=lr)
        self.clip = clip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Clip the gradients, then step as AdamW does; no closure is taken."""
        require(closure is None, "ClippedAdamW: closure must be None, got a function.")
        if self.clip is not None:
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        share = self.clip / (torch.linalg.vector_norm(parameter.grad) + 1e-6)
                        parameter.grad.mul_(share.clamp(max=1))
        return super().step()
