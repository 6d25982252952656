"""What every loss promises: gradients, tiles, types, hard rows, memory."""

import pytest
import torch
from torch import Tensor, nn

import common.losses as losses
from common.losses import (
    DecoupledInfoNCE,
    FairKL,
    InfoNCE,
    SupInfoNCE,
    repulsion,
)
from tests.common.losses import loss_cases
from tests.common.losses.loss_cases import gradient, supported_views, targets, value, views

EVERY = pytest.mark.parametrize("loss", loss_cases.EVERY.values(), ids=loss_cases.EVERY)
LOW_CASES = loss_cases.contrastive(0.01, 0.3) | loss_cases.REGULARIZERS
LOW = pytest.mark.parametrize("loss", LOW_CASES.values(), ids=LOW_CASES)


@pytest.fixture(params=[512, 5], ids=["at once", "tiles of 5"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tiles that do not divide the rows, and that cut through a subject's views."""
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": request.param, "cuda": request.param})
    side: int = request.param
    return side


@EVERY
@pytest.mark.parametrize("side", [3, 4, 7])
def test_tiles_change_neither_value_nor_gradient(
    loss: nn.Module, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = views(subjects=11)
    expected, slope = value(loss, z), gradient(loss, z)
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": side})
    torch.testing.assert_close(value(loss, z), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient(loss, z), slope, rtol=0, atol=1e-12)


@EVERY
def test_gradient_is_that_of_finite_differences(loss: nn.Module, tile: int) -> None:
    z = views(subjects=6, size=3).requires_grad_()
    assert torch.autograd.gradcheck(lambda leaf: value(loss, leaf), z)


@pytest.mark.parametrize("n_views", [1, 3])
@EVERY
def test_gradient_of_other_numbers_of_views_is_that_of_finite_differences(
    loss: nn.Module, n_views: int, tile: int
) -> None:
    if n_views not in supported_views(loss):
        pytest.skip("refused")
    z = views(subjects=5, n_views=n_views).requires_grad_()
    assert torch.autograd.gradcheck(lambda leaf: value(loss, leaf), z, fast_mode=True)


@EVERY
def test_the_order_of_the_subjects_does_not_matter(loss: nn.Module) -> None:
    z, columns = views(), targets(loss, 6)
    flipped = {name: column.flip(0) for name, column in columns.items()}
    torch.testing.assert_close(loss(z, **columns), loss(z.flip(0), **flipped))


@EVERY
def test_lengths_do_not_matter(loss: nn.Module) -> None:
    z = views()
    lengths = torch.arange(1, 13, dtype=torch.double).reshape(6, 2, 1)
    torch.testing.assert_close(value(loss, z), value(loss, z * lengths))


@EVERY
def test_the_input_and_the_global_random_state_stay_untouched(loss: nn.Module, tile: int) -> None:
    z = views().requires_grad_()
    before, state = z.detach().clone(), torch.get_rng_state()
    value(loss, z).backward()
    assert torch.equal(z.detach(), before)
    assert torch.equal(torch.get_rng_state(), state)


@LOW
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("case", ["random", "duplicates", "zeros", "opposite", "two subjects"])
def test_hard_rows_at_temperature_0_01_stay_finite(
    loss: nn.Module, dtype: torch.dtype, case: str, tile: int
) -> None:
    z = views(subjects=2 if case == "two subjects" else 6, dtype=dtype)
    if case == "duplicates":
        z = z[:1, :1].expand(6, 2, 5)
    elif case == "zeros":
        z = z * torch.tensor([0, 0, 1, 1, 0, 1], dtype=dtype)[:, None, None]
    elif case == "opposite":
        z = z[:1, :1] * torch.tensor([1, -1], dtype=dtype)[:, None]
        z = z.repeat(3, 1, 1)
    assert torch.isfinite(value(loss, z))
    assert torch.isfinite(gradient(loss, z)).all()


@LOW
@pytest.mark.parametrize("case", ["all alike", "all different", "one pair"])
def test_labels_and_ages_that_leave_a_set_empty_stay_finite(
    loss: nn.Module, case: str, tile: int
) -> None:
    z = views(subjects=2 if case == "one pair" else 6, n_views=max(supported_views(loss)[0], 1))
    same = torch.zeros(len(z), dtype=torch.long)
    column = same if case == "all alike" else torch.arange(len(z))
    wide = ("y", "prior")
    columns = {name: column * 1000 if name in wide else column for name in targets(loss, 1)}
    leaf = z.clone().requires_grad_()
    result = loss(leaf, **columns)
    result.backward()
    assert torch.isfinite(result)
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


@LOW
def test_temperature_0_01_keeps_the_value_of_float64(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32)
    expected = value(loss, z.double())
    near_zero = 1e-6 if isinstance(loss, FairKL) else 0  # a difference of moments of order 1
    torch.testing.assert_close(value(loss, z).double(), expected, rtol=1e-6, atol=near_zero)


@pytest.mark.parametrize("temperature", [0.002, 1 / 60, 0.02])
def test_opposite_rows_neither_overflow_nor_vanish(temperature: float, tile: int) -> None:
    z = torch.tensor([[[1.0], [1.0]], [[-1.0], [-1.0]]])  # positives 1, negatives -1
    apart = DecoupledInfoNCE(temperature)(z)
    assert float(apart) == pytest.approx(-2 / temperature, rel=1e-5)
    swapped = DecoupledInfoNCE(temperature)(torch.stack([z[:, 0], -z[:, 1]], dim=1))
    assert float(swapped) == pytest.approx(2 / temperature, rel=1e-5)


@EVERY
def test_a_row_of_zeros_receives_no_gradient(loss: nn.Module) -> None:
    z = views()
    z[2, 0] = 0
    slope = gradient(loss, z)
    assert torch.equal(slope[2, 0], torch.zeros(5, dtype=torch.double))
    assert slope[3].abs().sum() > 0


@EVERY
def test_bfloat16_is_summed_in_float32(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.bfloat16)
    assert value(loss, z).dtype == torch.float32
    assert gradient(loss, z).dtype == torch.bfloat16
    torch.testing.assert_close(value(loss, z), value(loss, z.float()))


@EVERY
def test_autocast_changes_nothing(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = value(loss, z)
    result.backward()
    assert torch.equal(result, value(loss, z))
    assert z.grad is not None
    assert torch.equal(z.grad, gradient(loss, z))


@EVERY
def test_a_backward_pass_inside_autocast_works_too(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        slope = gradient(loss, z)
    torch.testing.assert_close(slope, gradient(loss, z), rtol=0, atol=0.01)


def test_every_public_loss_names_its_targets_and_shows_its_settings() -> None:
    every = [getattr(losses, name) for name in losses.__all__ if name != "Queue"]
    assert [loss for loss in every if not hasattr(loss, "targets")] == []
    assert repr(InfoNCE(0.5, 0.1)) == "InfoNCE(temperature=0.5, epsilon=0.1)"
    assert repr(DecoupledInfoNCE()) == "DecoupledInfoNCE(temperature=1.0)"
    assert repr(SupInfoNCE(0.5)) == "SupInfoNCE(temperature=0.5, epsilon=0.0, form='out')"


@EVERY
def test_a_loss_without_gradient_has_the_same_value(loss: nn.Module, tile: int) -> None:
    z = views().requires_grad_()
    with torch.no_grad():
        expected = value(loss, z)
    assert torch.equal(value(loss, z), expected)


@EVERY
def test_the_gradient_follows_what_comes_from_above(loss: nn.Module, tile: int) -> None:
    z = views().requires_grad_()
    (3 * value(loss, z)).backward()
    torch.testing.assert_close(z.grad, 3 * gradient(loss, z.detach()), rtol=1e-12, atol=1e-15)


@EVERY
def test_no_tensor_grows_with_the_square_of_the_batch(
    loss: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "prior" in loss.targets:  # type: ignore[operator]
        pytest.skip("keeps the matrix of its kernel")
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": 16})
    subjects, size = 100, 4
    with LargestTensor() as largest:
        gradient(loss, views(subjects=subjects, size=size))
    assert largest.elements == subjects * 2 * size


class LargestTensor(torch.utils._python_dispatch.TorchDispatchMode):
    """Records the element count of the largest tensor any operation returns."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (list, tuple)) else [result]:
            if isinstance(tensor, Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@EVERY
def test_cuda_gives_the_value_and_gradient_of_the_cpu(loss: nn.Module, tile: int) -> None:
    z = views(subjects=40, dtype=torch.float32)
    torch.testing.assert_close(value(loss, z.cuda()).cpu(), value(loss, z), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        gradient(loss, z.cuda()).cpu(), gradient(loss, z), rtol=1e-4, atol=1e-6
    )
