"""Decoupled InfoNCE: transformed images against untransformed ones (learned transforms, Eq. 2).

With s_ij the cosine, over the temperature, of transformed image i and untransformed image j::

    l = -mean_i log( e^{s_ii} / sum_{j != i} e^{s_ij} )

(Ruppli et al., Optimizing transformations for contrastive learning in a differentiable framework,
2022, Eq. 2.) The positive is not in the denominator, so the loss may be negative.

Differs from the paper: rows are L2-normalised (it prints ``x^T x' / tau`` without; the author's
later code normalises), and the mean over images is taken, not the sum.
Differs from the author's later public code: that one also exchanges the two roles, and adds the
images of the anchor's own view to the denominator; here one direction, other view only, as printed.

Paper: https://arxiv.org/abs/2207.13367
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, rank, world_size
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion, other_subjects
from common.losses.rows import check_temperature, scaled_rows

__all__ = ["DecoupledInfoNCE", "decoupled_info_nce"]


def decoupled_info_nce(z: Tensor, *, temperature: float = 1.0) -> Tensor:
    """Compute decoupled InfoNCE, from ``z[:, 0]`` (transformed) to ``z[:, 1]`` (untransformed).

    Args:
        z: (B, 2, D), B >= 2 subjects (counted over all ranks), any floating type.
        temperature: divides the cosines, at least 0.002.

    Returns:
        Scalar, mean over this rank's transformed images, float32 or wider.

    >>> z = torch.eye(3).unsqueeze(1).repeat(1, 2, 1)  # cosines 1 and 0: log(2) - 1
    >>> round(float(decoupled_info_nce(z)), 4)
    -0.3069
    """
    check_temperature("DecoupledInfoNCE", temperature)
    require(
        z.dim() == 3 and z.shape[1] == 2 and z.is_floating_point(),
        f"DecoupledInfoNCE: z must be floating (B, 2, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        len(z) * world_size() >= 2,
        f"DecoupledInfoNCE: z must hold at least 2 subjects, got {len(z)}. Use a larger batch.",
    )
    with torch.autocast(z.device.type, enabled=False):
        transformed, untransformed = scaled_rows(z, temperature).unbind(dim=1)
        others = other_subjects(1, rank() * len(z), z.device)
        negatives = log_repulsion(transformed, gather(untransformed), others)
        positives = (transformed * untransformed).sum(dim=-1)
        loss = negatives - positives
        return loss.mean().to(torch.promote_types(z.dtype, torch.float32))


class DecoupledInfoNCE(Loss):
    """Loss of the learned transformations, one direction, mean; see `decoupled_info_nce`."""

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__(temperature=temperature)
        check_temperature("DecoupledInfoNCE", temperature)

    def forward(self, z: Tensor) -> Tensor:
        """Compute the loss of z (B, 2, D)."""
        return decoupled_info_nce(z, **self.settings)
