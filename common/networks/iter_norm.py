"""Iterative normalisation: whitened columns without an eigendecomposition.

With X (N, d) the centred rows of all ranks and one group of d columns::

    S = X^T X / N + epsilon I,  s = S / trace(S)
    P_0 = I,  P_k = (3 P_{k-1} - P_{k-1}^3 s) / 2,  k = 1 ... rounds
    y = X P / sqrt(trace(S))

P tends to s^(-1/2), so y to ZCA-whitened rows: every column of variance 1, no two correlated (Huang
et al., Iterative normalization, CVPR 2019, Algorithm 1). VIbCReg's projector ends in it (Lee and
Aune 2021, section 3), with 64 groups and 5 rounds in solo-learn, which the authors of "No Free
Lunch in Self Supervised Representation Learning" ran.

Differs from the paper: mean and covariance are those of the rows of all ranks; P s is carried along
instead of computed anew, the same numbers but for rounding errors, which then do not grow.

Papers: https://arxiv.org/abs/1904.03441, https://arxiv.org/abs/2109.00783
"""

import torch
from torch import Tensor, nn

from common.checks import require
from common.distributed import gather

__all__ = ["IterNorm"]


class IterNorm(nn.Module):
    """``z (B, features) -> (B, features)``: columns whitened in groups; see the module.

    In evaluation the running mean and matrix are used, as in batch normalisation.

    Args:
        features: D, number of columns.
        groups: of neighbouring columns, each whitened by itself; a divisor of `features`. Fewer
            rows over all ranks than columns in a group cannot be whitened whole.
        rounds: of the iteration, at least 1.
        epsilon: added to the variances.
        momentum: share of the new batch in the running mean and matrix.
        affine: learn a scale and a shift of each column.
    """

    running_mean: Tensor
    running_matrix: Tensor

    def __init__(
        self,
        features: int,
        groups: int = 64,
        rounds: int = 5,
        epsilon: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__()
        require(
            1 <= groups <= features and features % groups == 0,
            f"IterNorm: groups must divide the {features} features, got {groups}.",
        )
        require(
            rounds >= 1 and epsilon > 0 and 0 <= momentum <= 1,
            "IterNorm: rounds must be at least 1, epsilon positive and momentum between 0 and 1, "
            f"got {rounds}, {epsilon} and {momentum}.",
        )
        self.groups, self.rounds = groups, rounds
        self.epsilon, self.momentum = epsilon, momentum
        width = features // groups
        self.register_buffer("running_mean", torch.zeros(groups, 1, width))
        self.register_buffer("running_matrix", torch.eye(width).repeat(groups, 1, 1))
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None

    def forward(self, z: Tensor) -> Tensor:
        """Return the whitened rows, float32 or wider.

        Raises:
            InputError: another shape, or a single row to learn from.
        """
        require(
            z.ndim == 2 and z.shape[1] == self.running_mean.shape[2] * self.groups and len(z) > 0,
            f"IterNorm: z must be (B, {self.running_mean.shape[2] * self.groups}), got "
            f"{tuple(z.shape)}.",
        )
        with torch.autocast(z.device.type, enabled=False):
            rows = self._grouped(z.to(torch.promote_types(z.dtype, torch.float32)))
            mean, matrix = self.running_mean, self.running_matrix
            if self.training:
                mean, matrix = self._measured(rows)
            white = ((rows - mean) @ matrix).transpose(0, 1).flatten(1)
            if self.weight is None or self.bias is None:
                return white
            return white * self.weight + self.bias

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"groups={self.groups}, rounds={self.rounds}, epsilon={self.epsilon}"

    def _grouped(self, z: Tensor) -> Tensor:
        """Return ``(B, D)`` as ``(groups, B, d)``."""
        return z.reshape(len(z), self.groups, -1).transpose(0, 1)

    def _measured(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (groups, 1, d) and matrix (groups, d, d) of the rows (groups, B, d) of all ranks."""
        rows = gather(rows.transpose(0, 1)).transpose(0, 1)
        require(
            rows.shape[1] >= 2,
            "IterNorm: a batch to learn from must have at least 2 rows over all ranks, got 1.",
        )
        mean = rows.mean(dim=1, keepdim=True)
        centred = rows - mean
        one = torch.eye(rows.shape[2], dtype=rows.dtype, device=rows.device)
        spread = centred.mT @ centred / rows.shape[1] + self.epsilon * one
        trace = spread.diagonal(dim1=1, dim2=2).sum(dim=1)[:, None, None]
        matrix, product = one.expand_as(spread), spread / trace  # P, P s
        for _ in range(self.rounds):
            half = (3 * one - matrix @ product) / 2
            matrix, product = half @ matrix, product @ half
        matrix = matrix / trace.sqrt()
        self._remember(mean, matrix)
        return mean, matrix

    @torch.no_grad()
    def _remember(self, mean: Tensor, matrix: Tensor) -> None:
        self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
        self.running_matrix.lerp_(matrix.to(self.running_matrix), self.momentum)
