"""BarlowTwins, VICReg and VIbCReg: the columns of two views over the whole batch."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from common import distributed
from common.checks import InputError
from common.losses import BarlowTwins, VIbCReg, VICReg
from tests.common.losses.loss_cases import gradient, value, views
from tests.oracles import redundancy_losses as oracle
from tests.ranks import assert_equal_to_one, on_two_ranks

CASES: dict[str, nn.Module] = {
    "BarlowTwins": BarlowTwins(0.3, 0.1),
    "VICReg": VICReg(2.0, 3.0, 0.5),
    "VIbCReg": VIbCReg(2.0, 3.0, 7.0),
}
EVERY = pytest.mark.parametrize("loss", CASES.values(), ids=CASES)


def small() -> Tensor:
    """Views whose columns partly vary less than 1, so that the variance term counts."""
    return views() * torch.tensor([0.2, 0.5, 1.0, 2.0, 0.7], dtype=torch.double) + 3


def test_barlow_twins_equals_its_loops() -> None:
    expected = oracle.barlow_twins(small().numpy(), 0.3, 0.1)
    assert float(CASES["BarlowTwins"](small())) == pytest.approx(expected, abs=1e-12)


def test_vicreg_and_vibcreg_equal_their_loops() -> None:
    z = small()
    assert oracle.variance(z.numpy()) > 0.1
    expected = oracle.vicreg(z.numpy(), (2.0, 3.0, 0.5))
    assert float(CASES["VICReg"](z)) == pytest.approx(expected, abs=1e-12)
    better = oracle.vibcreg(z.numpy(), (2.0, 3.0, 7.0))
    assert float(CASES["VIbCReg"](z)) == pytest.approx(better, abs=1e-12)


def test_twins_that_agree_and_do_not_correlate_cost_nothing() -> None:
    z = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    twins = torch.stack([3 * z, z + 5], dim=1)  # correlations ignore place and scale
    assert float(BarlowTwins(0.5)(twins)) == pytest.approx(0, abs=1e-12)
    same = torch.stack([z, z], dim=1)
    assert float(VICReg()(same)) == float(VIbCReg()(same)) == 0


@EVERY
def test_the_gradient_is_that_of_finite_differences(loss: nn.Module) -> None:
    z = small().requires_grad_()
    assert torch.autograd.gradcheck(lambda leaf: value(loss, leaf), z)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", ["collapsed", "one column constant", "two subjects"])
def test_a_collapse_has_a_finite_gradient(loss: nn.Module, dtype: torch.dtype, case: str) -> None:
    z = small().to(dtype)[: 2 if case == "two subjects" else 6]
    if case == "collapsed":
        z = z[:1, :1].expand(6, 2, 5)
    elif case == "one column constant":
        z[:, :, 0] = 2.5
    assert torch.isfinite(value(loss, z))
    assert torch.isfinite(gradient(loss, z)).all()


@pytest.mark.parametrize("count", [10, 33])
def test_columns_that_differ_by_rounding_alone_correlate_with_none(count: int) -> None:
    z = torch.full((count, 2, 64), 0.1)
    z[::2] = torch.nextafter(z[::2], torch.tensor(1.0))
    assert float(BarlowTwins(0.3)(z)) == 64  # a collapse: no column agrees with its twin
    assert float(VIbCReg(0.0, 0.0, 7.0)(z)) == 0


@EVERY
def test_autocast_and_the_order_of_the_subjects_change_nothing(loss: nn.Module) -> None:
    z = small().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(z)
    assert torch.equal(inside, loss(z))
    torch.testing.assert_close(loss(z.flip(0)), loss(z))


@EVERY
@pytest.mark.bad_input("learning")
@pytest.mark.parametrize(
    "z", [torch.ones(6, 3, 5), torch.ones(6, 5), torch.ones(6, 2, 5, dtype=torch.long)], ids=str
)
def test_a_wrong_shape_or_type_is_told_in_one_line(loss: nn.Module, z: Tensor) -> None:
    with pytest.raises(InputError, match=rf"^{type(loss).__name__}: z must be floating \(B, 2, D"):
        loss(z)


@EVERY
@pytest.mark.bad_input("learning")
def test_one_subject_is_told_the_cure(loss: nn.Module) -> None:
    with pytest.raises(InputError, match=r"at least 2 subjects, got 1\. Use a larger batch\.$"):
        loss(torch.ones(1, 2, 5))


@pytest.mark.bad_input("learning")
@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_senseless_weights_are_refused(weight: float) -> None:
    for loss in (BarlowTwins, VICReg, VIbCReg):
        with pytest.raises(InputError, match=rf"^{loss.__name__}: .* must be at least 0"):
            loss(weight)


def step() -> dict[str, Tensor]:
    world, here = distributed.world_size(), distributed.rank()
    result = {}
    for name, loss in CASES.items():
        mine = small().chunk(world)[here].clone().requires_grad_()
        one = value(loss, mine)
        one.backward()
        assert mine.grad is not None
        result |= {f"value {name}": one.detach(), f"gradient {name}": mine.grad / world}
    return result


@pytest.mark.slow
def test_two_ranks_give_the_loss_and_the_gradient_of_one_process(tmp_path: Path) -> None:
    assert_equal_to_one(step(), on_two_ranks(step, tmp_path))
