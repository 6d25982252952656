"""Kernels on a continuous attribute: how alike two subjects are, from 0 or -1 to 1.

- `Gaussian`: ``exp(-d^2 / (2 sigma^2))``, d the Euclidean distance;
- `Cauchy`: ``1 / (sigma d^2 + 1)``;
- `Cosine`: the cosine of the angle between two vectors;
- `Delta`: 1 where equal, else 0 (a class label as an attribute);
- `Window`: 1 where nearer than a width, else 0 (positives by a threshold).

Each is called ``k(a, b)`` with a (N,) or (N, k) and b (M,) or (M, k), and returns (N, M). Values
are computed from differences, pair by pair, so that ``k(a, a)`` is symmetric to the last bit (the
losses compare weights). Nothing here checks for NaN: a subject without y has no kernel.

`log_kernel` gives ``log k(a, b)`` to full precision where the kernel itself is too small to be
represented, which is what the losses compute with.

`gram` gives ``k(a, a)`` in float64 from one product of matrices, for wide attributes such as the
embeddings of a prior: exact to rounding, and rows that are equal to 7 digits count as equal.

Differs from the released code (Barbano et al., Contrastive learning for regression in multi-site
brain age prediction, ISBI 2023): its kernel "gaussian" is `Gaussian` over ``sqrt(2 pi) sigma``,
its "rbf" is `Gaussian`; its "cauchy" is `Cauchy` (the textbook's has ``d^2 / sigma^2``).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from common.checks import require

__all__ = [
    "Cauchy",
    "Cosine",
    "Delta",
    "Gaussian",
    "Kernel",
    "Window",
    "gram",
    "log_kernel",
    "unit_rows",
]

#: (N,) or (N, k) and (M,) or (M, k) -> (N, M)
Kernel = Callable[[Tensor, Tensor], Tensor]

_LARGEST_RATE = 1e300  # of a kernel so narrow that the rate would be infinite: 0 times it is 0
_NARROW = 1e10  # sigma of a Cauchy, up to which differences of 1e14 have a finite square
_SAME = 1e-14  # share of |a|^2 + |b|^2 up to which |a - b|^2 is rounding


def log_kernel(kernel: Kernel, a: Tensor, b: Tensor) -> Tensor:
    """Compute the logarithm of a kernel; -inf where it is 0 or below.

    Args:
        kernel: one of this module, or any other, which is as precise as its own values.
        a: (N,) or (N, k), finite.
        b: (M,) or (M, k), finite.

    Returns:
        (N, M), a matrix of its own.

    >>> log_kernel(Gaussian(1.0), torch.tensor([20.0]), torch.tensor([20.0, 60.0]))
    tensor([[  -0., -800.]])
    """
    by_formula = getattr(kernel, "log", None)
    if by_formula is None:
        return kernel(a, b).clamp(min=0).log_()
    result: Tensor = by_formula(a, b)
    return result


def unit_rows(a: Tensor, length: float = 1.0) -> tuple[Tensor, Tensor]:
    """Bring rows to one length, however long or short they are; a row of zeros stays zero.

    A row whose largest number is below 1e-36 in float32, 2e-306 in float64, counts as zeros: the
    slope of its direction could not be represented.

    Args:
        a: (..., D), floating; a row that is not finite gives one that is not.
        length: of the rows returned, above 0.

    Returns:
        The rows (..., D), and by what each was multiplied (..., 1), 0 for one of zeros.

    >>> unit_rows(torch.tensor([[3e30, 4e30], [0.0, 0.0]]))[0]
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    # the square of a number above 1.8e19 is infinite in float32, that of one below 1e-23 is 0
    largest = torch.maximum(a.amax(dim=-1, keepdim=True), -a.amin(dim=-1, keepdim=True))
    largest.masked_fill_(largest < 100 * torch.finfo(a.dtype).tiny, math.inf)
    rows = a / largest
    factor = length / torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    factor.masked_fill_(largest == math.inf, 0)
    return rows.mul_(factor), factor.div_(largest)


def gram(kernel: Kernel, points: Tensor) -> Tensor:
    """Compute a kernel between all pairs of one set.

    Args:
        kernel: one of this module is computed by its method ``gram``, any other by a call.
        points: (N,) or (N, k), finite.

    Returns:
        (N, N) float64, a matrix of its own; symmetric to rounding.

    >>> gram(Gaussian(5.0), torch.tensor([20.0, 25.0]))[0]
    tensor([1.0000, 0.6065], dtype=torch.float64)
    """
    points = _points(points, points)[0].double()
    by_product = getattr(kernel, "gram", None)
    result: Tensor = kernel(points, points) if by_product is None else by_product(points)
    return result.double()


class Gaussian:
    """``exp(-|a - b|^2 / (2 sigma^2))``, 1 at equality.

    Args:
        sigma: in the unit of the attribute (years for age), above 0.

    >>> Gaussian(5.0)(torch.tensor([20.0]), torch.tensor([20.0, 25.0]))
    tensor([[1.0000, 0.6065]])
    """

    def __init__(self, sigma: float) -> None:
        _check_sigma("Gaussian", sigma)
        self.sigma = sigma

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of a (N,) or (N, k) and b (M,) or (M, k)."""
        return self.log(a, b).exp_()

    def log(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute ``-|a - b|^2 / (2 sigma^2)``; see `log_kernel`."""
        return _squared_distance(a, b, math.sqrt(0.5) / self.sigma).neg_()

    def gram(self, a: Tensor) -> Tensor:
        """Compute the kernel of all pairs of rows of a (N, k) in float64; see `gram`."""
        rate = min(0.5 / self.sigma / self.sigma, _LARGEST_RATE)
        return _squared_distances(a).mul_(-rate).exp_()

    def __repr__(self) -> str:
        return f"Gaussian(sigma={self.sigma})"


class Cauchy:
    """``1 / (sigma |a - b|^2 + 1)``, 1 at equality.

    Args:
        sigma: per squared unit of the attribute, above 0; a LARGER sigma is a narrower kernel.

    >>> Cauchy(2.0)(torch.tensor([20.0]), torch.tensor([20.0, 21.0]))
    tensor([[1.0000, 0.3333]])
    """

    def __init__(self, sigma: float) -> None:
        _check_sigma("Cauchy", sigma)
        self.sigma = sigma

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of a (N,) or (N, k) and b (M,) or (M, k)."""
        return _squared_distance(a, b, math.sqrt(self.sigma)).add_(1).reciprocal_()

    def log(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute ``-log(sigma |a - b|^2 + 1)``; see `log_kernel`."""
        dtype = _floating(a)
        if self.sigma > _NARROW:  # what is squared would be infinite in float32
            a, b = a.double(), b.double()
        return _squared_distance(a, b, math.sqrt(self.sigma)).log1p_().neg_().to(dtype)

    def gram(self, a: Tensor) -> Tensor:
        """Compute the kernel of all pairs of rows of a (N, k) in float64; see `gram`."""
        return _squared_distances(a).mul_(self.sigma).add_(1).reciprocal_()

    def __repr__(self) -> str:
        return f"Cauchy(sigma={self.sigma})"


class Cosine:
    """``<a, b> / (|a| |b|)``, from -1 to 1; 0 where a vector is zero.

    >>> Cosine()(torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    tensor([[1.0000, 0.7071]])
    """

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of a (N,) or (N, k) and b (M,) or (M, k)."""
        a, b = _points(a, b)
        return (_unit(a)[:, None] * _unit(b)).sum(dim=-1).clamp_(-1, 1)

    def gram(self, a: Tensor) -> Tensor:
        """Compute the kernel of all pairs of rows of a (N, k) in float64; see `gram`."""
        unit = _unit(a)
        return torch.mm(unit, unit.T)

    def __repr__(self) -> str:
        return "Cosine()"


class Delta:
    """1 where a and b are equal in every component, else 0.

    >>> Delta()(torch.tensor([3.0]), torch.tensor([3.0, 4.0]))
    tensor([[1., 0.]])
    """

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of a (N,) or (N, k) and b (M,) or (M, k), in float."""
        a, b = _points(a, b)
        equal = (a[:, None] == b).all(dim=-1)
        return equal.to(_floating(a))

    def gram(self, a: Tensor) -> Tensor:
        """Compute the kernel of all pairs of rows of a (N, k) in float64; see `gram`."""
        group: Tensor = torch.unique(a, dim=0, return_inverse=True)[1]
        return (group[:, None] == group).to(a.dtype)

    def __repr__(self) -> str:
        return "Delta()"


class Window:
    """1 where ``|a - b| < width``, else 0: who is nearer than a threshold is a positive.

    The simple answer to a continuous attribute that the talk (2023, slide 38) puts before its
    kernels: how to choose the threshold is its question. Not positive semi-definite: for
    `common.losses.KernelContrastive`, not for a prior.

    Args:
        width: in the unit of the attribute (years for age), above 0.

    >>> Window(5.0)(torch.tensor([20.0]), torch.tensor([24.0, 25.0]))
    tensor([[1., 0.]])
    """

    def __init__(self, width: float) -> None:
        require(0 < width < float("inf"), f"Window: width must be above 0 and finite, got {width}.")
        self.width = width

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """Compute the kernel of a (N,) or (N, k) and b (M,) or (M, k), in float."""
        near = _squared_distance(a, b, 1 / self.width) < 1
        return near.to(_floating(a))

    def __repr__(self) -> str:
        return f"Window(width={self.width})"


def _check_sigma(name: str, sigma: float) -> None:
    require(0 < sigma < float("inf"), f"{name}: sigma must be above 0 and finite, got {sigma}.")


def _points(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    require(
        a.dim() in (1, 2) and a.dim() == b.dim() and a.shape[1:] == b.shape[1:],
        "kernel: a and b must be (N,) and (M,), or (N, k) and (M, k), "
        f"got {tuple(a.shape)} and {tuple(b.shape)}.",
    )
    return (a, b) if a.dim() == 2 else (a[:, None], b[:, None])


def _squared_distance(a: Tensor, b: Tensor, rate: float) -> Tensor:
    """Compute |rate (a_i - b_j)|^2 from differences, one component after the other."""
    a, b = _points(a, b)
    dtype = _floating(a)
    rate = min(rate, torch.finfo(dtype).max)  # an infinite one times 0 is not a number
    total = torch.zeros(len(a), len(b), dtype=dtype, device=a.device)
    for k in range(a.shape[1]):
        total += (a[:, k, None] - b[:, k]).to(dtype).mul_(rate).square_()
    return total


def _squared_distances(a: Tensor) -> Tensor:
    """Compute |a_i - a_j|^2 as |a_i|^2 + |a_j|^2 - 2 <a_i, a_j>, of points around their mean."""
    a = a - a.mean(dim=0)
    length = a.square().sum(dim=1, keepdim=True) * (1 - _SAME)
    one = torch.ones_like(length)
    pairs = torch.mm(torch.cat([a, length, one], dim=1), torch.cat([-2 * a, one, length], dim=1).T)
    return pairs.clamp_(min=0)


def _unit(a: Tensor) -> Tensor:
    return unit_rows(a.to(_floating(a)))[0]


def _floating(a: Tensor) -> torch.dtype:
    return a.dtype if a.is_floating_point() else torch.get_default_dtype()
