"""The grey of a colour, as every change of colours needs it."""

import torch
from torch import Tensor

from common.checks import require

__all__ = ["luma", "require_rgb"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601


def luma(x: Tensor) -> Tensor:
    """Return the grey ``(B, 1, N)`` of the colours ``x (B, 3, N)``."""
    weight = torch.tensor(LUMA, device=x.device, dtype=x.dtype).expand(len(x), 1, 3)
    return torch.bmm(weight, x)


def require_rgb(name: str, x: Tensor) -> None:
    """Refuse images that are not RGB ``(B, 3, H, W)``, in the name of `name`."""
    require(
        x.dim() == 4 and x.shape[1] == 3,
        f"{name}: x must be RGB (B, 3, H, W), got shape {tuple(x.shape)}.",
    )
