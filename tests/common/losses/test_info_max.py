"""The bound that trains encoder and augmentation channel."""

import math

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.losses import InfoMax, InfoMaxBound, InfoNCE, SupCon
from tests.common.losses.loss_cases import views
from tests.oracles.info_max_bound import info_max_bound as oracle


def weights(images: int, versions: int) -> Tensor:
    generator = torch.Generator().manual_seed(images)
    return torch.randn(images, versions, generator=generator, dtype=torch.double).softmax(dim=1)


@pytest.mark.parametrize("beta", [0.5, 1.0, 10.0])
def test_weighted_bound_equals_the_loops(beta: float) -> None:
    z, weight = views(5, 4), weights(5, 4)
    torch.testing.assert_close(
        InfoMaxBound(beta)(z, weight), oracle(z, beta, weight), rtol=0, atol=1e-9
    )


def test_gradients_of_versions_and_weights_equal_those_of_the_loops() -> None:
    logits = weights(5, 4).log().requires_grad_()
    z = views(5, 4).requires_grad_()
    ours = torch.autograd.grad(InfoMaxBound(0.5)(z, logits.softmax(dim=1)), (z, logits))
    loops = torch.autograd.grad(oracle(z, 0.5, logits.softmax(dim=1)), (z, logits))
    torch.testing.assert_close(ours, loops, rtol=0, atol=1e-9)


@pytest.mark.parametrize("beta", [0.5, 10.0])
def test_the_objective_itself_equals_the_loops_and_is_above_its_bound(beta: float) -> None:
    z, weight = views(5, 4), weights(5, 4)
    actual = InfoMax(beta)(z, weight)
    torch.testing.assert_close(actual, oracle(z, beta, weight, exact=True), rtol=0, atol=1e-9)
    assert -actual > -InfoMaxBound(beta)(z, weight)
    torch.testing.assert_close(InfoMax(beta)(z[:, :2]), InfoMaxBound(beta)(z[:, :2]))


def test_bound_in_tiles_equals_the_bound_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    z, weight = views(6, 4).requires_grad_(), weights(6, 4).requires_grad_()
    at_once = InfoMaxBound(0.5)(z, weight)
    wanted = torch.autograd.grad(at_once, (z, weight))
    monkeypatch.setattr("common.losses.repulsion._TILE", {"cpu": 7})
    tiled = InfoMaxBound(0.5)(z, weight)
    torch.testing.assert_close(tiled, at_once, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(tiled, (z, weight)), wanted, rtol=0, atol=1e-12)


def test_equal_weights_give_sup_con_over_images() -> None:
    z = views(6, 8)
    wanted = SupCon(temperature=2.0)(z, torch.arange(6)) - math.log(6 * 8 - 1)
    torch.testing.assert_close(InfoMaxBound(0.5)(z), wanted, rtol=0, atol=1e-10)


def test_two_equal_versions_give_sim_clr_up_to_a_constant() -> None:
    z = views(6, 2)
    wanted = InfoNCE(temperature=1.0)(z) - math.log(6 * 2 - 1)
    torch.testing.assert_close(InfoMaxBound(1.0)(z), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_channel_that_chose_one_version_gives_finite_gradients(dtype: torch.dtype) -> None:
    z = torch.zeros(2, 3, 4, dtype=dtype)
    z[:, 0, 0] = 1
    z.requires_grad_()
    weight = torch.tensor([[1.0, 0.0, 0.0]] * 2, requires_grad=True)
    loss = InfoMaxBound(0.5)(z, weight)
    loss.backward()
    assert loss.isfinite()
    assert z.grad is not None
    assert z.grad.isfinite().all()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


@pytest.mark.parametrize(
    ("shape", "weight", "message"),
    [
        ((3, 1, 4), None, r"z must be floating \(B, V >= 2, D\)"),
        ((1, 2, 4), None, "z must hold at least 2 images, got 1"),
        ((2, 2, 4), torch.ones(2, 3), r"weight must be floating \(2, 2\)"),
        ((2, 2, 4), torch.ones(2, 2), "sum of 1 for each image, got a least weight of 1 and a sum"),
        ((2, 2, 4), torch.tensor([[2.0, -1.0]] * 2), "weight must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(
    shape: tuple[int, ...], weight: Tensor | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        InfoMaxBound(0.5)(torch.randn(shape), weight)


@pytest.mark.parametrize("beta", [0.0, -1.0, math.inf])
def test_inverse_temperature_must_be_positive_and_finite(beta: float) -> None:
    with pytest.raises(InputError, match="beta must be above 0 and at most 500, got"):
        InfoMaxBound(beta)
