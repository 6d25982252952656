"""LARS: stochastic gradient descent whose rate follows each weight's own length.

For a weight w with gradient g, decay d, rate r and momentum m::

    s = trust |w| / (|g| + d |w|)            1 where w or g is zero
    v <- m v + s (g + d w)
    w <- w - r v

(You, Gitman and Ginsburg, Large batch training of convolutional networks, 2017, Algorithm 1, Eq.
6.) Biases and the other parameters of one dimension (those of normalisations) are neither adapted
nor decayed: s = 1 and d = 0, as in SimCLR's and BYOL's released codes.

Differs from the paper: the rate multiplies v where it is used, as in PyTorch's SGD, not where it is
accumulated; the two are the same while the rate is constant. Differs from the code released with
decoupled uniformity: that one adapts and decays biases and normalisations too, and divides by
|g + d w|.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from common.checks import require

__all__ = ["LARS"]


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling, for large batches; see the module.

    Args:
        params: parameters or groups of them.
        lr: r, the rate; large batches take about 0.3 times the batch over 256 and more.
        momentum: m, in [0, 1).
        weight_decay: d, of parameters of two dimensions and more.
        trust_coefficient: what share of its length a weight moves at rate 1.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ) -> None:
        require(
            all(0 <= value < math.inf for value in (lr, weight_decay))
            and 0 < trust_coefficient < math.inf,
            "LARS: lr and weight_decay must be at least 0, trust_coefficient above 0, finite, got "
            f"{lr}, {weight_decay} and {trust_coefficient}.",
        )
        require(0 <= momentum < 1, f"LARS: momentum must be in [0, 1), got {momentum}.")
        settings = {
            "lr": lr,
            "momentum": momentum,
            "weight_decay": weight_decay,
            "trust_coefficient": trust_coefficient,
        }
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # overloads of PyTorch
        """Move every parameter that has a gradient; return what `closure` returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                change = _direction(parameter, parameter.grad, group)
                velocity = self.state[parameter].get("velocity")
                if velocity is None:
                    velocity = self.state[parameter]["velocity"] = torch.zeros_like(parameter)
                velocity.mul_(group["momentum"]).add_(change)
                parameter.add_(velocity, alpha=-group["lr"])
        return loss


def _direction(weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """Return s (g + d w), without a copy to the host."""
    if weight.dim() <= 1:
        return gradient
    length = torch.linalg.vector_norm(weight)
    slope = torch.linalg.vector_norm(gradient)
    decay = group["weight_decay"]
    scale = group["trust_coefficient"] * length / (slope + decay * length)
    scale = torch.where((length > 0) & (slope > 0), scale, 1.0)
    return scale * gradient.add(weight, alpha=decay)
