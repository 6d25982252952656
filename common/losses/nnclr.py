"""NNCLR: the nearest neighbour of one view recognises the prediction made from the other.

With n_i the row of a queue that is nearest to the projection of one view of subject i, p_i the
prediction made from the other view, and cosines over the temperature T::

    l_i = -log( e^{n_i p_i / T} / sum_k e^{n_i p_k / T} )

k over all subjects, i among them, averaged over the subjects (Dwibedi et al., With a little help
from my friends, ICCV 2021, Eq. 3). The method averages the loss of both directions.

Differs from the paper: nothing known.

Paper: https://arxiv.org/abs/2104.14548
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion
from common.losses.rows import check_temperature, scaled_rows

__all__ = ["NNCLR", "nnclr"]


def nnclr(prediction: Tensor, neighbour: Tensor, *, temperature: float) -> Tensor:
    """Compute InfoNCE from neighbours to predictions.

    Args:
        prediction: (B, D) of one view, B >= 1 subjects, any floating type.
        neighbour: (B, D), the row of the queue nearest to each subject's other view; receives no
            gradient.
        temperature: divides the cosines, at least 0.002.

    Returns:
        Scalar, mean over this rank's subjects, float32 or wider.

    >>> rows = torch.eye(2)  # cosines 1 and 0: log(1 + e^-1)
    >>> round(float(nnclr(rows, rows, temperature=1.0)), 4)
    0.3133
    """
    check_temperature("NNCLR", temperature)
    require(
        prediction.dim() == 2 and min(prediction.shape) >= 1 and prediction.is_floating_point(),
        f"NNCLR: prediction must be floating (B, D), got {prediction.dtype} "
        f"{tuple(prediction.shape)}.",
    )
    require(
        neighbour.shape == prediction.shape and neighbour.is_floating_point(),
        f"NNCLR: neighbour must be floating {tuple(prediction.shape)}, got {neighbour.dtype} "
        f"{tuple(neighbour.shape)}.",
    )
    with torch.autocast(prediction.device.type, enabled=False):
        own = scaled_rows(prediction, temperature)
        anchors = scaled_rows(neighbour.detach(), temperature).to(own)
        everyone = log_repulsion(anchors, gather(own), lambda rows, columns: 1.0)
        loss = everyone - (anchors * own).sum(dim=1)
        return loss.mean().to(torch.promote_types(prediction.dtype, torch.float32))


class NNCLR(Loss):
    """InfoNCE whose positive is the nearest neighbour of the other view; see `nnclr`."""

    def __init__(self, temperature: float = 0.1) -> None:
        super().__init__(temperature=temperature)
        check_temperature("NNCLR", temperature)

    def forward(self, prediction: Tensor, neighbour: Tensor) -> Tensor:
        """Compute the loss of two tensors (B, D)."""
        return nnclr(prediction, neighbour, **self.settings)
