"""Prototypes: K directions, and how much each row of a projection points along them."""

import torch
from torch import Tensor, nn

from common.checks import require

__all__ = ["Prototypes"]


class Prototypes(nn.Module):
    """``z (..., in_features) -> scores (..., number)``: cosines to K trained directions.

    Source: the ``prototypes`` layer of SwAV (Caron et al., 2020, section 3.1), a linear layer
    without bias on normalised rows whose weights `normalize` keeps at length 1.

    Args:
        in_features: D, width of the projection.
        number: K.
    """

    def __init__(self, in_features: int, number: int = 3000) -> None:
        super().__init__()
        require(
            min(in_features, number) >= 1,
            f"Prototypes: in_features and number must be at least 1, got {in_features} and "
            f"{number}.",
        )
        self.weight = nn.Linear(in_features, number, bias=False).weight
        self.normalize()

    @torch.no_grad()
    def normalize(self) -> None:
        """Give every prototype the length 1 again; call it before a step."""
        self.weight.copy_(nn.functional.normalize(self.weight, dim=1))

    def forward(self, z: Tensor, frozen: bool = False) -> Tensor:
        """Return the cosines, float32 or wider; `frozen` prototypes receive no gradient."""
        weight = self.weight.detach() if frozen else self.weight
        with torch.autocast(z.device.type, enabled=False):
            rows = nn.functional.normalize(
                z.to(torch.promote_types(z.dtype, torch.float32)), dim=-1
            )
            return rows @ weight.to(rows.dtype).T
