"""Decoupled Uniformity: centroids of the views are spread out, guided by a kernel on a prior.

With mu_i the mean over V views of the unit rows of subject i, which is not brought back to length
1, over the n subjects of all ranks::

    L = log( 1 / (n (n - 1)) sum_{i != j} e^{-t |mu_i - mu_j|^2} )

Views are aligned because a shorter mean repels less. A prior p_i (an age, an embedding of any other
model) replaces each centroid by an estimate from all, weighed by how alike the priors are::

    mu <- alpha mu,    alpha = (K + lambda I)^-1 K,    K_ij = kernel(p_i, p_j)

without a gradient through alpha and without normalising its rows (Dufumier et al., Integrating
Prior Knowledge in Contrastive Learning with Kernel, ICML 2023; talk 2023, slides 67-73).

With a finite epsilon it is the loss before its limit, of which L is that of epsilon to infinity
(slide 67: centroids apart by epsilon at least)::

    L_epsilon = log( 1 / (n (n - 1)) (e^-epsilon + sum_{i != j} e^{-t |mu_i - mu_j|^2}) )

Differs from the paper: t = 2 and lambda = 0.01 by default, as in the released code (268aa67); the
talk has t = 1 and adds n lambda with lambda = O(n^-1/2). Differs from the released code: alpha is
never formed. It is I - lambda (K + lambda I)^-1, and one Cholesky factor in float64 applies it; the
code's float32 inverse is wrong in the second digit where the kernel is wide. A prior without a
kernel, or a kernel without a prior, is an error (the code then leaves the kernel out).

Paper: https://arxiv.org/abs/2206.01646
"""

import math

import torch
from torch import Tensor

from common.checks import InputError, require
from common.distributed import gather, rank, world_size
from common.kernels import Kernel, gram
from common.losses.loss import Loss
from common.losses.repulsion import log_repulsion, other_subjects
from common.losses.rows import check_values, scaled_rows

__all__ = ["DecoupledUniformity", "decoupled_uniformity"]

_LARGEST_T = 150.0  # e^{-4 t} is above the smallest number of float64
_LARGEST_EXPONENT_IN_FLOAT32 = 60.0
_JITTERS = (0.0, 1e-13, 1e-10, 1e-7)  # times n: added to K where rounding made it indefinite


def decoupled_uniformity(
    z: Tensor,
    *,
    prior: Tensor | None = None,
    t: float = 2.0,
    kernel: Kernel | None = None,
    regularization: float = 0.01,
    epsilon: float | None = None,
) -> Tensor:
    """Compute Decoupled Uniformity over all pairs of subjects.

    Args:
        z: (B, V, D), V >= 2 views of B subjects, 2 subjects or more over all ranks, any floating
            type.
        prior: (B,) or (B, P), finite, what the kernel compares; with `kernel` only.
        t: inverse width of the Gaussian potential between centroids, above 0, at most 150.
        kernel: positive semi-definite, such as those of `common.kernels`; None for no prior.
        regularization: lambda, above 0, in the unit of the kernel.
        epsilon: margin between centroids, at least 0; None for its limit, the loss of the paper.

    Returns:
        Scalar from -4 t to 0, with epsilon a little above it; the same on every rank, float32 or
        wider.

    Memory is linear in the batch but for K, of n x n float64, which each rank holds.

    >>> z = torch.eye(3)[:, None].repeat(1, 2, 1)  # centroids at squared distance 2
    >>> round(float(decoupled_uniformity(z, t=2.0)), 4)
    -4.0
    """
    _check_settings(t, regularization, epsilon)
    require(
        z.dim() == 3 and z.shape[1] >= 2 and z.is_floating_point(),
        f"DecoupledUniformity: z must be floating (B, V >= 2, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        len(z) * world_size() >= 2,
        f"DecoupledUniformity: z must hold at least 2 subjects, got {len(z)}. Use a larger batch.",
    )
    require(
        (kernel is None) == (prior is None),
        "DecoupledUniformity: kernel and prior must both be given or both be left out, got a "
        f"{'prior' if kernel is None else 'kernel'} alone.",
    )
    if prior is not None:
        check_values("DecoupledUniformity", prior, z, "prior")
    with torch.autocast(z.device.type, enabled=False):
        wide = z.double() if 4 * t > _LARGEST_EXPONENT_IN_FLOAT32 else z
        mu = gather(scaled_rows(wide, 1.0).mean(dim=1))
        if kernel is not None and prior is not None:
            points = gather(prior.detach().to(z.device, torch.double))
            mu = _smoothed(mu, kernel, points, regularization)
        loss = _log_mean_potential(mu, t, rank() * len(z), len(z))
        if epsilon is not None:
            margin = loss.new_tensor(-epsilon - math.log(len(mu) * (len(mu) - 1)))
            loss = torch.logaddexp(loss, margin)
        return loss.to(torch.promote_types(z.dtype, torch.float32))


def _smoothed(mu: Tensor, kernel: Kernel, points: Tensor, regularization: float) -> Tensor:
    """Apply alpha to mu (n, D): alpha = I - ridge (K + ridge I)^-1."""
    factor, ridge = _factor(kernel, points, regularization)
    right = mu.double()
    solved = torch.linalg.solve_triangular(factor, right, upper=False)
    solved = torch.linalg.solve_triangular(factor.mT, solved, upper=True)
    smoothed: Tensor = right - ridge * solved
    return smoothed.to(mu.dtype)


@torch.no_grad()
def _factor(kernel: Kernel, points: Tensor, regularization: float) -> tuple[Tensor, float]:
    """Return the Cholesky factor (n, n) of K + ridge I, in the memory of K, and the ridge.

    The ridge is the regularization, and more where that drowns in rounding: K = 1, lambda = 1e-20.
    """
    n = len(points)
    for jitter in _JITTERS:
        matrix = gram(kernel, points)
        ridge = regularization + jitter * n * float(matrix.diagonal().abs().max())
        matrix.diagonal().add_(ridge)
        info = torch.empty((), dtype=torch.int32, device=matrix.device)
        torch.linalg.cholesky_ex(matrix.mT, out=(matrix.mT, info))
        if int(info) == 0:
            return matrix.mT, ridge
    raise InputError(
        "DecoupledUniformity: kernel must be finite, symmetric and positive semi-definite, got one "
        "that is not. Use a kernel of common.kernels, or a larger regularization."
    )


def _log_mean_potential(mu: Tensor, t: float, first: int, own: int) -> Tensor:
    """Log of the mean of e^{-t |mu_i - mu_j|^2} over pairs; this rank's anchors from `first`.

    The exponent is a product of rows: <(a_i, l_i, 1), (a_j, 1, l_j)>, a = sqrt(2 t) mu and
    l = -t |mu|^2. It is never above 0, and the closest pair's is above -4 t, because the mean of
    |mu|^2 is at most 1 (alpha shortens): nothing overflows, and the sum does not vanish.
    """
    n = len(mu)
    length = -t * mu.square().sum(dim=1, keepdim=True)
    scaled, one = mu * math.sqrt(2 * t), torch.ones_like(length)
    anchors = torch.cat([scaled, length, one], dim=1)[first : first + own]
    bank = torch.cat([scaled, one, length], dim=1)
    others = other_subjects(1, first, mu.device)
    sums = log_repulsion(anchors, bank, others, mirrored=own == n)
    total = gather(sums.logsumexp(dim=0, keepdim=True)).logsumexp(dim=0)
    return total - math.log(n * (n - 1))


def _check_settings(t: float, regularization: float, epsilon: float | None) -> None:
    require(
        0 < t <= _LARGEST_T,
        f"DecoupledUniformity: t must be above 0 and at most {_LARGEST_T:g}, got {t}.",
    )
    require(
        0 < regularization < math.inf,
        f"DecoupledUniformity: regularization must be above 0 and finite, got {regularization}.",
    )
    require(
        epsilon is None or 0 <= epsilon < math.inf,
        f"DecoupledUniformity: epsilon must be at least 0 and finite, or None, got {epsilon}.",
    )


class DecoupledUniformity(Loss):
    """Decoupled Uniformity, with a kernel on a prior or without; see `decoupled_uniformity`.

    The attribute ``targets`` is ("prior",) with a kernel and empty without.
    """

    def __init__(
        self,
        t: float = 2.0,
        kernel: Kernel | None = None,
        regularization: float = 0.01,
        epsilon: float | None = None,
    ) -> None:
        super().__init__(t=t, kernel=kernel, regularization=regularization, epsilon=epsilon)
        _check_settings(t, regularization, epsilon)
        require(
            kernel is None or callable(kernel),
            f"DecoupledUniformity: kernel must be callable or None, got {kernel!r}.",
        )
        if kernel is not None:
            self.targets = ("prior",)

    def forward(self, z: Tensor, prior: Tensor | None = None) -> Tensor:
        """Compute the loss of z (B, V, D) with the prior (B,) or (B, P)."""
        return decoupled_uniformity(z, prior=prior, **self.settings)
