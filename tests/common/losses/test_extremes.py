"""Weights, lengths and kernels at the ends of float32, against loops in float64; NaN shows."""

import math

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.kernels import Cauchy, Cosine, Gaussian, Kernel, log_kernel, unit_rows
from common.losses import DINO, KernelContrastive, MoCo, NegativeCosine, repulsion
from tests.common.losses import loss_cases
from tests.common.losses.loss_cases import targets, value, views
from tests.oracles import kernel_losses as oracle

KINDS = [
    (kind, variant)
    for kind in ("all", "threshold", "exponential")
    for variant in ("paper", "released")
]
KIND = pytest.mark.parametrize(("kind", "variant"), KINDS)
EVERY = pytest.mark.parametrize("loss", loss_cases.EVERY.values(), ids=loss_cases.EVERY)
AGES = {
    "31 of 20, one of 48": [20.0] * 31 + [48.0],
    "one 28.5 years away": [20.0, 20.0, 21.0, 20.5, 49.5, 20.25],
    "two far ones": [20.0, 21.0, 22.0, 90.0, 55.0, 24.0],
}
NARROW: dict[str, tuple[Kernel, oracle.Kernel]] = {
    "Gaussian": (Gaussian(2.0), oracle.gaussian(2.0)),
    "Cauchy": (Cauchy(1e38), oracle.cauchy(1e38)),
}


@pytest.fixture(params=[512, 5], ids=["at once", "tiles of 5"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": request.param})
    side: int = request.param
    return side


def value_and_gradient(loss: nn.Module, z: Tensor, **columns: Tensor) -> tuple[Tensor, Tensor]:
    leaf = z.detach().clone().requires_grad_()
    result = loss(leaf, **columns)
    result.backward()
    assert leaf.grad is not None
    return result.detach(), leaf.grad


@KIND
@pytest.mark.parametrize("n_views", [1, 2])
@pytest.mark.parametrize("ages", AGES.values(), ids=AGES)
@pytest.mark.parametrize("kernel", NARROW)
def test_a_lonely_anchor_has_the_value_and_the_gradient_of_the_loops(
    kernel: str, ages: list[float], n_views: int, kind: str, variant: str, tile: int
) -> None:
    if (tile == 5 and AGES["two far ones"] != ages) or (len(ages) > 20 and n_views > 1):
        pytest.skip("slow loops, tried elsewhere")
    z = views(len(ages), n_views, dtype=torch.float32)
    loss = KernelContrastive(NARROW[kernel][0], 0.1, kind, variant)  # type: ignore[arg-type]
    got = value_and_gradient(loss, z, y=torch.tensor(ages))
    leaf = z.double().requires_grad_()
    points = [[age] for age in ages]
    expected = oracle.differentiable(leaf, points, NARROW[kernel][1], 0.1, kind, variant)
    expected.backward()
    torch.testing.assert_close(got[0].double(), expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got[1].double(), leaf.grad, rtol=1e-4, atol=2e-6)


@EVERY
@pytest.mark.parametrize("length", [1e-30, 1e30, 1e36])
def test_rows_of_any_length_have_the_value_and_the_gradient_of_float64(
    loss: nn.Module, length: float
) -> None:
    z = views(dtype=torch.float32)
    lengths = torch.tensor([1, length, 1, 1, 1, length])[:, None, None]
    got = value_and_gradient(loss, z * lengths, **targets(loss, 6))
    expected = value_and_gradient(loss, z.double(), **targets(loss, 6))
    torch.testing.assert_close(got[0].double(), expected[0], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close((got[1] * lengths).double(), expected[1], rtol=1e-4, atol=1e-5)


def test_a_row_whose_slope_float32_cannot_hold_counts_as_zeros() -> None:
    rows, factor = unit_rows(torch.tensor([[1e-40, 0.0], [3e38, 3e38], [0.0, 0.0]]))
    torch.testing.assert_close(rows, torch.tensor([[0, 0], [0.5**0.5, 0.5**0.5], [0, 0]]))
    assert torch.isfinite(factor).all()
    cosine = Cosine()(torch.tensor([[1e30, 1e30]]), torch.tensor([[1e-30, 0.0]]))
    assert cosine.item() == pytest.approx(0.5**0.5)


@pytest.mark.bad_input("learning")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@EVERY
def test_a_feature_that_is_not_finite_makes_the_loss_so(loss: nn.Module, bad: float) -> None:
    z = views(dtype=torch.float32)
    z[1, 0, 2] = bad
    assert not torch.isfinite(value(loss, z))


@pytest.mark.bad_input("learning")
@pytest.mark.parametrize("lonely", ["label", "y"])
@EVERY
def test_a_feature_that_is_not_finite_shows_though_no_anchor_has_a_positive(
    loss: nn.Module, lonely: str
) -> None:
    columns = {name: torch.arange(6) * 1000 for name in targets(loss, 6)}
    z = views(dtype=torch.float32)
    z[1, 0, 2] = math.nan
    assert math.isnan(loss(z, **columns))


@pytest.mark.bad_input("learning")
def test_losses_of_two_networks_show_what_is_not_finite() -> None:
    z, bad = views(dtype=torch.float32), views(dtype=torch.float32)
    bad[1, 0, 2] = math.nan
    moco = MoCo(queue=4, features=5)
    for a, b in ((z, bad), (bad, z)):
        assert all(math.isnan(loss(a, b)) for loss in (NegativeCosine(), moco, DINO(5)))


def test_narrow_and_wide_kernels_are_numbers() -> None:
    a, b = torch.tensor([20.0, 1e20]), torch.tensor([20.0, 21.0, 1e20])
    for sigma in (1e-200, 1e-30, 1e30, 1e200):
        for kernel in (Gaussian(sigma), Cauchy(sigma)):
            assert kernel(a, b)[0, 0] == 1
            assert log_kernel(kernel, a, b)[0, 0] == 0
            assert not log_kernel(kernel, a, b).isnan().any()


def test_a_kernel_without_a_logarithm_of_its_own_gives_the_same_loss() -> None:
    z, y = views(), torch.tensor([20.0, 25, 25, 40, 60, 33])
    own = KernelContrastive(Gaussian(5.0), 0.1, "threshold")(z, y)
    other = KernelContrastive(lambda a, b: Gaussian(5.0)(a, b), 0.1, "threshold")(z, y)
    torch.testing.assert_close(own, other, rtol=1e-10, atol=0)


@pytest.mark.bad_input("learning")
@KIND
def test_a_kernel_that_is_not_a_number_is_refused(kind: str, variant: str) -> None:
    loss = KernelContrastive(lambda a, b: Gaussian(5.0)(a, b) * math.nan, 0.1, kind, variant)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kernel must be at most 1, got nan"):
        loss(views(), torch.arange(6.0))
