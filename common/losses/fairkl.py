"""FairKL: pairs of the same bias are as far apart, and as spread, as pairs of different bias.

The pairs of distinct rows of the batch fall into four groups: positive (same label) or negative,
bias-aligned (same bias) or bias-conflicting. With mu and sigma^2 the mean and the variance of a
group's distances (or similarities), the sum over positives and over negatives of::

    "paper"    KL( N(mu_aligned, sigma_aligned^2) || N(mu_conflicting, sigma_conflicting^2) )
    "moments"  (mu_aligned - mu_conflicting)^2 + kld (sigma_aligned - sigma_conflicting)^2

(Barbano et al., Unbiased Supervised Contrastive Learning, ICLR 2023; talk 2023, slide 56). Distance
is the Euclidean one of the unit rows, similarity their cosine. It regularises: added, with a
weight, to a contrastive loss or a cross entropy, on the encoder's features.

Differs from the paper, which leaves them open: variances are raised to `variance_floor` (a KL of
laws without width is infinite); two groups of which one has fewer than 2 pairs are skipped.

``variant="released"`` is what the authors' public code computes, no KL: of view 0, on similarities
whatever `statistic` says, with means over ``max(count, 1)`` and standard deviations (unbiased) over
the whole B x B matrix in which the pairs outside the group are 0, self pairs positive aligned::

    (mu_pc - mu_pa)^2 + (mu_na - mu_nc)^2 + kld ((sd_pa - sd_pc)^2 + (sd_na - sd_nc)^2)
        - mu_pc + mu_na

Paper: https://arxiv.org/abs/2211.05568
"""

from typing import Literal

import torch
from torch import Tensor

from common.checks import require
from common.distributed import world_size
from common.losses.group_moments import GroupedRows, grouped_rows
from common.losses.group_pairs import PairedRows, paired_rows
from common.losses.loss import Loss
from common.losses.repulsion import tile_side
from common.losses.rows import check_groups, check_rows, finite_only_if

__all__ = ["FairKL", "fairkl"]

Statistic = Literal["distance", "similarity"]
Variant = Literal["paper", "released", "moments"]

_NO_VARIANCE = 1e-14  # a variance below this is rounding


def fairkl(
    z: Tensor,
    *,
    label: Tensor,
    bias: Tensor,
    statistic: Statistic = "distance",
    variant: Variant = "paper",
    kld: float = 1.0,
    variance_floor: float = 1e-6,
) -> Tensor:
    """Compute FairKL over the pairs of all ranks' rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        label: (B,) whole numbers from 0, the class of each subject.
        bias: (B,) whole numbers from 0, the bias (site, colour) of each subject.
        statistic: what is compared between the groups.
        variant: see above.
        kld: weight of the standard deviations, at least 0; "paper" has none.
        variance_floor: smallest variance of "paper", above 0, in squared units of the statistic.

    Returns:
        Scalar, the same on every rank, float32 or wider; 0 where no group can be compared.

    >>> z = torch.eye(4).unsqueeze(1)  # all distances equal
    >>> label, bias = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    >>> abs(round(float(fairkl(z, label=label, bias=bias)), 6))
    0.0
    """
    check_rows("FairKL", z)
    check_groups("FairKL", "label", label, z)
    check_groups("FairKL", "bias", bias, z)
    with torch.autocast(z.device.type, enabled=False):
        if variant == "released":
            check_rows("FairKL", z[:, :1])
            read = _rows(z[:, :1], label, bias)
            loss = _released(read, kld)
        else:
            if statistic == "similarity":
                read = _rows(z, label, bias)
                count, mean, variance = _of_similarities(read)
            else:
                read = grouped = grouped_rows(z, label, bias)
                count, mean, variance = _of_distances(grouped)
            terms = (
                _divergence(mean, variance.clamp(min=variance_floor))
                if variant == "paper"
                else _difference(mean, _root(variance), kld)
            )
            loss = terms.where(count.view(2, 2).amin(dim=1) >= 2, 0).sum()
        return finite_only_if(loss, read.rows).to(torch.promote_types(z.dtype, torch.float32))


def _rows(z: Tensor, label: Tensor, bias: Tensor) -> GroupedRows | PairedRows:
    """The rows of all ranks, all pairs of them at once where that is a tile or less."""
    fits = z.shape[0] * z.shape[1] * world_size() <= tile_side(z.device)
    return (paired_rows if fits else grouped_rows)(z, label, bias)


def _of_similarities(rows: GroupedRows | PairedRows) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and variance (4,) of s over the pairs of distinct rows of each group."""
    length = rows.rows.double().square().sum(dim=1)
    itself = length.new_tensor([1, 0, 0, 0])
    count = rows.counts() - itself * len(length)
    total = rows.similarities() - itself * length.sum()
    squares = rows.squared_similarities() - itself * length.square().sum()
    return count, *_mean_and_variance(count, total, squares)


def _of_distances(rows: GroupedRows) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean and variance (4,) of the distance over the pairs of distinct rows."""
    itself = rows.rows.new_tensor([1, 0, 0, 0])
    count = rows.counts() - itself * len(rows.rows)
    squares = rows.lengths() - 2 * rows.similarities()
    return count, *_mean_and_variance(count, rows.distances(), squares)


def _mean_and_variance(count: Tensor, total: Tensor, squares: Tensor) -> tuple[Tensor, Tensor]:
    divisor = count.clamp(min=1)
    mean = total / divisor
    return mean, squares / divisor - mean.square()


def _divergence(mean: Tensor, variance: Tensor) -> Tensor:
    """KL (2,) of aligned from conflicting, for positives and negatives."""
    (aligned, conflicting), (wide, other) = mean.view(2, 2).T, variance.view(2, 2).T
    widths = (wide / other) - (wide / other).log() - 1
    divergence: Tensor = 0.5 * (widths + (aligned - conflicting).square() / other)
    return divergence


def _difference(mean: Tensor, deviation: Tensor, kld: float) -> Tensor:
    """Squared differences (2,) of the moments, for positives and negatives."""
    (aligned, conflicting), (wide, other) = mean.view(2, 2).T, deviation.view(2, 2).T
    squares: Tensor = (aligned - conflicting).square() + kld * (wide - other).square()
    return squares


def _released(rows: GroupedRows | PairedRows, kld: float) -> Tensor:
    count, similarity = rows.counts(), rows.similarities()
    mean, pairs = similarity / count.clamp(min=1), len(rows.rows) ** 2
    variance = (rows.squared_similarities() - similarity.square() / pairs) / (pairs - 1)
    return _difference(mean, _root(variance), kld).sum() - mean[1] + mean[2]


def _root(variance: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0."""
    above = ~(variance <= _NO_VARIANCE)  # what is not a number stays so
    return variance.where(above, 1).sqrt().where(above, 0)


class FairKL(Loss):
    """FairKL, a regulariser; see `fairkl`."""

    targets = ("label", "bias")

    def __init__(
        self,
        statistic: Statistic = "distance",
        variant: Variant = "paper",
        kld: float = 1.0,
        variance_floor: float = 1e-6,
    ) -> None:
        super().__init__(
            statistic=statistic, variant=variant, kld=kld, variance_floor=variance_floor
        )
        require(
            statistic in ("distance", "similarity"),
            f'FairKL: statistic must be "distance" or "similarity", got {statistic!r}.',
        )
        require(
            variant in ("paper", "released", "moments"),
            f'FairKL: variant must be "paper", "released" or "moments", got {variant!r}.',
        )
        require(0 <= kld < float("inf"), f"FairKL: kld must be at least 0 and finite, got {kld}.")
        require(
            variant != "paper" or kld == 1,
            f'FairKL: kld must be 1 with variant "paper", which has no such term, got {kld}. '
            'Use variant "moments" or "released".',
        )
        require(
            0 < variance_floor < float("inf"),
            f"FairKL: variance_floor must be above 0 and finite, got {variance_floor}.",
        )

    def forward(self, z: Tensor, label: Tensor, bias: Tensor) -> Tensor:
        """Compute the regulariser of z (B, V, D) with labels and biases (B,)."""
        return fairkl(z, label=label, bias=bias, **self.settings)
