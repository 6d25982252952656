"""Decoupled Uniformity: its loops, its kernels however ill-conditioned, and what it refuses."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.kernels import Cauchy, Cosine, Delta, Gaussian, Kernel, gram
from common.losses import DecoupledUniformity, repulsion
from tests.common.losses.loss_cases import views
from tests.common.losses.test_losses import LargestTensor
from tests.oracles import decoupled_uniformity as oracle
from tests.oracles import kernel_losses

KERNELS: dict[str, tuple[Kernel, kernel_losses.Kernel]] = {
    "Gaussian": (Gaussian(0.7), kernel_losses.gaussian(0.7)),
    "Cauchy": (Cauchy(0.5), kernel_losses.cauchy(0.5)),
    "Cosine": (Cosine(), kernel_losses.cosine),
    "Delta": (Delta(), kernel_losses.delta),
    "of a user": (lambda a, b: a @ b.T, lambda a, b: sum(x * y for x, y in zip(a, b))),
}
SUBJECT = torch.arange(9)
PRIORS = {  # what makes the matrix of a Gaussian of 1 singular, or nearly
    "all alike": torch.ones(9, 3),
    "twins": views(9, 1, 3)[SUBJECT // 2, 0],
    "far apart": 1e8 * views(9, 1, 3)[:, 0],
    "close": 1e-9 * views(9, 1, 3)[:, 0],
    "huge": 1e30 * views(9, 1, 3)[:, 0],
    "one-hot": torch.eye(3)[SUBJECT % 3],
    "zeros": torch.zeros(9, 3),
    "a class": SUBJECT % 2,
}


@pytest.fixture(params=[512, 5], ids=["at once", "tiles of 5"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": request.param})
    side: int = request.param
    return side


def prior(subjects: int = 7) -> Tensor:
    return views(subjects, 1, 3)[:, 0]


@pytest.mark.parametrize("n_views", [2, 3])
@pytest.mark.parametrize("t", [0.5, 2.0, 40.0])
def test_without_a_prior_it_equals_its_loops(n_views: int, t: float, tile: int) -> None:
    z = views(7, n_views)
    expected = oracle.decoupled_uniformity(oracle.centroids(z.numpy()), t)
    assert float(DecoupledUniformity(t)(z)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("epsilon", [0.0, 3.0])
def test_a_finite_margin_adds_its_exponential_to_the_sum(epsilon: float, tile: int) -> None:
    z, pairs = views(7, 2), 7 * 6
    mean = math.exp(oracle.decoupled_uniformity(oracle.centroids(z.numpy()), 2.0))
    expected = math.log((math.exp(-epsilon) + pairs * mean) / pairs)
    assert float(DecoupledUniformity(epsilon=epsilon)(z)) == pytest.approx(expected, abs=1e-9)
    far = float(DecoupledUniformity(epsilon=700.0)(z))
    assert far == pytest.approx(float(DecoupledUniformity()(z)), abs=1e-12)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("regularization", [0.01, 0.5])
def test_with_a_prior_it_equals_the_loops_with_the_explicit_inverse(
    name: str, regularization: float, tile: int
) -> None:
    z, (kernel, of_points) = views(7), KERNELS[name]
    points = prior().round() if name == "Delta" else prior()
    mu = oracle.estimated(oracle.centroids(z.numpy()), points.tolist(), of_points, regularization)
    value = DecoupledUniformity(1.5, kernel, regularization)(z, points)
    assert float(value) == pytest.approx(oracle.decoupled_uniformity(mu, 1.5), abs=1e-9)


def test_centroids_are_not_brought_back_to_length_1() -> None:
    z = torch.eye(4, dtype=torch.double).reshape(2, 2, 4)  # means of orthogonal rows: |mu|^2 = 1/2
    assert float(DecoupledUniformity(1.0)(z)) == pytest.approx(-1.0)


def test_the_gradient_repels_other_centroids_and_attracts_the_own_views() -> None:
    z, t = views(5).requires_grad_(), 1.0
    unit = torch.nn.functional.normalize(z, dim=-1).detach().requires_grad_()
    mu = unit.detach().mean(dim=1)
    weight = torch.exp(-t * torch.cdist(mu, mu) ** 2).fill_diagonal_(0)
    weight = weight / weight.sum()
    slide_70 = 2 * (weight @ mu - weight.sum(dim=1, keepdim=True) * mu)
    centred = unit.mean(dim=1)
    distances = (centred[:, None] - centred).square().sum(dim=-1)
    (torch.exp(-t * distances).sum() - 5).log().backward()
    assert unit.grad is not None
    torch.testing.assert_close(unit.grad, (2 / 2 * slide_70)[:, None].expand(5, 2, 5))
    tangent = torch.autograd.grad(DecoupledUniformity(t)(z), z)[0]
    projected = unit.grad - (unit.grad * unit.detach()).sum(dim=-1, keepdim=True) * unit.detach()
    torch.testing.assert_close(tangent, projected / z.detach().norm(dim=-1, keepdim=True))


def test_no_gradient_passes_through_alpha(tile: int) -> None:
    z, points = views(7), prior().requires_grad_()
    loss = DecoupledUniformity(2.0, Gaussian(0.7))
    assert torch.autograd.gradcheck(lambda leaf: loss(leaf, points), z.requires_grad_())
    assert torch.autograd.grad(loss(z, points), points, allow_unused=True) == (None,)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("subjects", [2, 9])
@pytest.mark.parametrize("regularization", [0.01, 1e-20])
@pytest.mark.parametrize("name", PRIORS)
def test_a_singular_or_ill_conditioned_kernel_stays_finite(
    name: str, regularization: float, subjects: int, dtype: torch.dtype
) -> None:
    z = views(9, dtype=dtype)[:subjects].requires_grad_()
    points = PRIORS[name][:subjects]
    for kernel in (Gaussian(1.0), Gaussian(1e-200), Gaussian(1e200), Cauchy(1e300), Cosine()):
        value = DecoupledUniformity(2.0, kernel, regularization)(z, points)
        (gradient,) = torch.autograd.grad(value, z)
        assert -8 - 1e-6 <= float(value.detach()) <= 1e-6
        assert torch.isfinite(gradient).all()


def test_a_narrow_kernel_shortens_the_centroids_and_a_wide_one_makes_them_alike() -> None:
    z = views(7)
    apart = DecoupledUniformity(2.0, Gaussian(1e-30), 0.01)(z, prior())
    alike = DecoupledUniformity(2.0, Gaussian(1e30), 0.01)(z, prior())
    mu = [[x / 1.01 for x in row] for row in oracle.centroids(z.numpy())]
    assert float(apart) == pytest.approx(oracle.decoupled_uniformity(mu, 2.0), abs=1e-9)
    assert float(alike) == pytest.approx(0.0, abs=1e-9)  # every centroid is the same mean


def test_rows_equal_in_the_prior_share_their_centroid_however_narrow_the_kernel() -> None:
    points = torch.tensor([[0.3, 0.1], [0.3, 0.1], [900.0, 1.0]], dtype=torch.float32)
    matrix = gram(Gaussian(1e-30), points)
    assert matrix.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("name", KERNELS)
def test_the_matrix_by_a_product_is_that_of_the_pairs(name: str) -> None:
    kernel = KERNELS[name][0]
    points = prior(40).round(decimals=1)
    expected = kernel(points, points)
    torch.testing.assert_close(gram(kernel, points), expected, rtol=0, atol=1e-12)
    assert gram(kernel, points.float()).dtype == torch.float64


def test_float32_keeps_the_value_of_float64_where_the_kernel_is_wide() -> None:
    z, ages = views(200, size=16), torch.linspace(20, 80, 200)
    loss = DecoupledUniformity(2.0, Gaussian(20.0))
    exact = loss(z, ages)
    torch.testing.assert_close(loss(z.float(), ages).double(), exact, rtol=1e-5, atol=1e-7)


def test_with_a_kernel_nothing_is_larger_than_its_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": 16})
    z = views(60, size=4).requires_grad_()
    with LargestTensor() as largest:
        DecoupledUniformity(2.0, Gaussian(1.0))(z, views(60, 1, 50)[:, 0]).backward()
    assert largest.elements == 60 * 60


def test_it_names_its_target_only_where_it_has_a_kernel() -> None:
    assert DecoupledUniformity().targets == ()
    loss = DecoupledUniformity(1.0, Gaussian(5.0), 0.1)
    assert loss.targets == ("prior",)
    shown = "DecoupledUniformity(t=1.0, kernel=Gaussian(sigma=5.0), regularization=0.1, "
    assert repr(loss) == f"{shown}epsilon=None)"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"t": 0.0}, "t must be above 0 and at most 150, got 0.0"),
        ({"t": 151.0}, "t must be above 0 and at most 150, got 151.0"),
        ({"regularization": 0.0}, "regularization must be above 0 and finite, got 0.0"),
        ({"regularization": math.inf}, "regularization must be above 0 and finite, got inf"),
        ({"kernel": 5.0}, "kernel must be callable or None, got 5.0"),
    ],
)
def test_senseless_settings_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=f"^DecoupledUniformity: {text}"):
        DecoupledUniformity(**settings)


def test_a_kernel_and_a_prior_come_together() -> None:
    with pytest.raises(InputError, match=r"^DecoupledUniformity: kernel and prior .* kernel alone"):
        DecoupledUniformity(2.0, Gaussian(1.0))(views())
    with pytest.raises(InputError, match=r"^DecoupledUniformity: kernel and prior .* prior alone"):
        DecoupledUniformity()(views(), prior(6))


def test_a_kernel_that_is_none_is_refused_in_one_line() -> None:
    for kernel in (lambda a, b: -a @ b.T, lambda a, b: (a @ b.T) / 0):
        with pytest.raises(InputError, match=r"kernel must be finite, symmetric and .*\.$"):
            DecoupledUniformity(2.0, kernel)(views(7), prior())
