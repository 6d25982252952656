"""Contrastive losses for a continuous y: y-aware, L_thr and L_exp.

Every other row k is a positive of anchor i with the weight ``w_k = kernel(y_i, y_k)`` of its
subject; s is the cosine over the temperature::

    l_i = -sum_k w_k / (sum_{t != i} w_t) (s_k - log D_ik)

    "all"          D_ik = sum_{t != i} e^{s_t}                         y-aware
    "threshold"    D_ik = sum_{t != i, w_t < w_k} e^{s_t}              L_thr
    "exponential"  D_ik = sum_{t != i, t != k} e^{s_t (1 - w_t)}       L_exp

averaged over the B V anchors (Dufumier et al., Contrastive learning with continuous proxy
meta-data for 3D MRI classification, MICCAI 2021; Barbano et al., Contrastive learning for
regression in multi-site brain age prediction, ISBI 2023; talk 2023, slides 41, 48, 49). A k whose
set is empty is skipped, its weight staying in the normaliser; an anchor of weight 0 to all counts
0. Where a kernel is below 0 (`Cosine`), w is 0: only samples with w > 0 are positives (slide 41).
A weight is 0 below the smallest number of float64, 5e-324, whatever the type of z.

Differs from the paper: slide 48 divides w_k by the weights of the repelled rows only, which
explodes; here all other rows, as the released code does.

``variant="released"`` computes what the authors' public code does (without its factor
temperature / 0.07), which for "all" is the above, and else has a D_i that does not depend on k::

    "threshold"    D_i = sum_{t != i} e^{s_t} #{q: w_tq < w_ti}
    "exponential"  D_i = sum_{t != i} e^{s_t (1 - w_t) + w_t / T}

Beware of a wide kernel with "exponential". Where all rows are nearly equal the pulls of an anchor
sum to 1 and its pushes to 1 less a mean of the weights w_t: as released the plain mean, for every
e^(...) is e^(1/T); as printed one in which a row counts e^((1 - w_t) / T), so that far rows decide
and it is small unless all rows are near. With that strength whatever y does not explain is pulled
together, and an encoder whose first embeddings owe little to y can collapse. In "all" and both
forms of "threshold" pulls and pushes are equal.

Papers: https://arxiv.org/abs/2106.08808, https://arxiv.org/abs/2211.08326
"""

from typing import Literal

import torch
from torch import Tensor

from common.checks import require
from common.distributed import gather, rank
from common.kernels import Kernel
from common.losses.kernel_pairs import KernelPairs, ranks
from common.losses.kernel_strips import exponential_loss, threshold_loss
from common.losses.loss import Loss
from common.losses.repulsion import Damping, both, log_repulsion, other_subjects
from common.losses.rows import (
    check_rows,
    check_temperature,
    check_values,
    finite_only_if,
    scaled_rows,
)

__all__ = ["KernelContrastive", "kernel_contrastive"]

Repulsion = Literal["all", "threshold", "exponential"]
Variant = Literal["paper", "released"]


def kernel_contrastive(
    z: Tensor,
    *,
    y: Tensor,
    kernel: Kernel,
    temperature: float,
    repulsion: Repulsion = "all",
    variant: Variant = "paper",
) -> Tensor:
    """Compute y-aware, L_thr or L_exp over all rows.

    Args:
        z: (B, V, D), 2 rows or more (counted over all ranks), any floating type.
        y: (B,) or (B, k), the attribute of each subject, finite; computed with in the type of
            the loss.
        kernel: of `common.kernels`, at most 1.
        temperature: divides the cosines, at least 0.002.
        repulsion: which rows repel.
        variant: the formula, or what the released code computes.

    Returns:
        Scalar, mean over this rank's anchors, float32 or wider.

    >>> from common.kernels import Delta
    >>> z = torch.eye(4).reshape(2, 2, 4)  # all cosines 0: log(3)
    >>> y = torch.tensor([20.0, 60.0])
    >>> round(float(kernel_contrastive(z, y=y, kernel=Delta(), temperature=0.5)), 4)
    1.0986
    """
    check_temperature("KernelContrastive", temperature)
    check_rows("KernelContrastive", z)
    check_values("KernelContrastive", y, z)
    with torch.autocast(z.device.type, enabled=False):
        anchors = scaled_rows(z, temperature).flatten(0, 1)
        bank = gather(anchors)
        own = y.detach().to(anchors.device, anchors.dtype).reshape(len(y), -1)
        pairs = KernelPairs(kernel, own, gather(own), rank() * len(own), z.shape[1])
        if variant == "released" or repulsion == "all":
            loss = _one_denominator(anchors, bank, pairs, repulsion, temperature)
        elif repulsion == "threshold":
            loss = threshold_loss(anchors, bank, pairs)
        else:
            loss = exponential_loss(anchors, bank, pairs)
        return finite_only_if(loss, bank).to(torch.promote_types(z.dtype, torch.float32))


def _one_denominator(
    anchors: Tensor, bank: Tensor, pairs: KernelPairs, repulsion: Repulsion, temperature: float
) -> Tensor:
    """Mean over anchors of log D_i - sum_k w_k s_k / sum_t w_t, for a D_i that does without k."""
    others = other_subjects(1, pairs.first * pairs.views, anchors.device)
    if repulsion == "all":
        log_denominator = log_repulsion(anchors, bank, others)
    elif repulsion == "threshold":
        log_denominator = log_repulsion(anchors, bank, both(others, ranks(pairs)), symmetric=False)
    else:
        slope = pairs.of_rows(lambda rows, columns: 1 - pairs.of_subjects(rows, columns))
        log_denominator = log_repulsion(anchors, bank, others, Damping(slope, 1 / temperature))
    attraction, normaliser = _attraction(anchors, bank, pairs)
    some = (normaliser > 0) & (log_denominator != -torch.inf)
    return (log_denominator - attraction).where(some, 0).mean()


def _attraction(anchors: Tensor, bank: Tensor, pairs: KernelPairs) -> tuple[Tensor, Tensor]:
    """The weighted mean of an anchor's s (n,), linear in the bank, and whether it has weight.

    The second result, (n,), is the sum of the anchor's weights divided by the largest of them: at
    least 1, or 0 for an anchor without any weight.
    """
    views = pairs.views
    subjects = bank.view(-1, views, bank.shape[1]).sum(dim=1)
    rows = anchors.view(-1, views, anchors.shape[1])
    own = rows.sum(dim=1, keepdim=True) - rows  # an anchor's other views
    others = pairs.sums(subjects)
    to_others = (rows * others.product[:, None]).sum(dim=2)
    to_own = others.itself[:, None] * (rows * own).sum(dim=2)
    normaliser = (views * others.total + (views - 1) * others.itself)[:, None]
    mean = (to_others + to_own) / normaliser.where(normaliser > 0, 1)
    return mean.flatten(), normaliser.expand_as(mean).flatten()


class KernelContrastive(Loss):
    """y-aware, L_thr or L_exp; see `kernel_contrastive`."""

    targets = ("y",)

    def __init__(
        self,
        kernel: Kernel,
        temperature: float,
        repulsion: Repulsion = "all",
        variant: Variant = "paper",
    ) -> None:
        super().__init__(
            kernel=kernel, temperature=temperature, repulsion=repulsion, variant=variant
        )
        check_temperature("KernelContrastive", temperature)
        require(
            repulsion in ("all", "threshold", "exponential"),
            'KernelContrastive: repulsion must be "all", "threshold" or "exponential", '
            f"got {repulsion!r}.",
        )
        require(
            variant in ("paper", "released"),
            f'KernelContrastive: variant must be "paper" or "released", got {variant!r}.',
        )
        require(callable(kernel), f"KernelContrastive: kernel must be callable, got {kernel!r}.")

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute the loss of z (B, V, D) with the attribute y (B,) or (B, k)."""
        return kernel_contrastive(z, y=y, **self.settings)
