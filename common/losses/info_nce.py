"""InfoNCE with a margin: each view recognises the other views of its subject among all views.

For an anchor i, a positive p (another view of the same subject) and the views n of the other
subjects, with s the cosine over the temperature::

    l_ip = -log( e^{s_p} / (e^{s_p - epsilon} + sum_n e^{s_n}) )

averaged over the positives of an anchor, then over the B V anchors. Two views and epsilon = 0 give
NT-Xent (Chen et al., SimCLR, 2020, Eq. 1). For more views this is the "out" form of
epsilon-SupInfoNCE with the subject as label (Barbano et al., Unbiased Supervised Contrastive
Learning, ICLR 2023, Eq. 8; talk 2023, slides 40-42): an anchor's other positives are absent from
the denominator.

Differs from the paper: the margin is subtracted after division by the temperature, as the released
code does (the paper has no temperature). Differs from the released code: no ``log(x + 1e-6)``
(which adds 0.38 at temperature 0.05) and no factor temperature / 0.07.

Papers: https://arxiv.org/abs/2002.05709, https://arxiv.org/abs/2211.05568
"""

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, rank, world_size
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion, other_subjects
from common.losses.rows import check_temperature, scaled_rows

__all__ = ["InfoNCE", "info_nce"]


def info_nce(z: Tensor, *, temperature: float, epsilon: float = 0.0) -> Tensor:
    """Compute InfoNCE over all pairs of views.

    Args:
        z: (B, V, D), V >= 2 views of B >= 2 subjects (counted over all ranks), any floating type.
        temperature: divides the cosines, at least 0.002.
        epsilon: margin by which a positive must win, >= 0, in units of cosine / temperature.

    Returns:
        Scalar, mean over this rank's anchors, float32 or wider.

    >>> z = torch.eye(4).reshape(2, 2, 4)  # all cosines 0: -log(1 / 3)
    >>> round(float(info_nce(z, temperature=0.5)), 4)
    1.0986
    """
    check_temperature("InfoNCE", temperature)
    require(
        z.dim() == 3 and z.shape[1] >= 2 and z.is_floating_point(),
        f"InfoNCE: z must be floating (B, V >= 2, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        len(z) * world_size() >= 2,
        f"InfoNCE: z must hold at least 2 subjects, got {len(z)}. Use a larger batch.",
    )
    views = z.shape[1]
    with torch.autocast(z.device.type, enabled=False):
        rows = scaled_rows(z, temperature)
        anchors = rows.flatten(0, 1)
        others = other_subjects(views, rank() * len(anchors), z.device)
        negatives = log_repulsion(anchors, gather(anchors), others).view(-1, views, 1)
        # s_p: each view against the views 1, 2, … places further
        shifted = [(rows * rows.roll(k, dims=1)).sum(dim=-1) for k in range(1, views)]
        positives = torch.stack(shifted, dim=-1)  # (B, V, V - 1)
        loss = torch.logaddexp(positives - epsilon, negatives) - positives
        return loss.mean().to(torch.promote_types(z.dtype, torch.float32))


class InfoNCE(Loss):
    """InfoNCE (SimCLR's NT-Xent for two views), with an optional margin; see `info_nce`."""

    def __init__(self, temperature: float, epsilon: float = 0.0) -> None:
        super().__init__(temperature=temperature, epsilon=epsilon)
        check_temperature("InfoNCE", temperature)
        require(
            0 <= epsilon < float("inf"),
            f"InfoNCE: epsilon must be at least 0 and finite, got {epsilon}.",
        )

    def forward(self, z: Tensor) -> Tensor:
        """Compute the loss of z (B, V, D)."""
        return info_nce(z, **self.settings)
