"""Every loss against its loops, tiled against untiled, and what all losses promise."""

import math

import pytest
import torch
from torch import Tensor, nn

import common.losses as losses
from common.checks import InputError
from common.losses import DecoupledInfoNCE, InfoNCE, repulsion
from tests.oracles import losses as oracle

EVERY = pytest.mark.parametrize(
    "loss",
    [InfoNCE(0.5), InfoNCE(0.2, epsilon=0.3), DecoupledInfoNCE(0.5)],
    ids=["InfoNCE", "epsilon-InfoNCE", "DecoupledInfoNCE"],
)
LOW = pytest.mark.parametrize(
    "loss", [InfoNCE(0.01), DecoupledInfoNCE(0.01)], ids=["InfoNCE", "DecoupledInfoNCE"]
)


def views(
    subjects: int = 6, n_views: int = 2, size: int = 5, dtype: torch.dtype = torch.double
) -> Tensor:
    generator = torch.Generator().manual_seed(subjects + 10 * n_views)
    return torch.randn(subjects, n_views, size, generator=generator, dtype=torch.double).to(dtype)


def gradient(loss: nn.Module, z: Tensor) -> Tensor:
    leaf = z.detach().clone().requires_grad_()
    loss(leaf).backward()
    assert leaf.grad is not None
    return leaf.grad


@pytest.fixture(params=[512, 5, 4], ids=["at once", "tiles of 5", "tiles of 4"])
def tile(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Tiles that do and do not divide the rows, and that cut through a subject's views."""
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": request.param, "cuda": request.param})
    side: int = request.param
    return side


@pytest.mark.parametrize("temperature", [0.05, 0.5, 1.0])
def test_decoupled_info_nce_equals_its_loops(temperature: float, tile: int) -> None:
    z = views()
    expected = oracle.decoupled_info_nce(z.numpy(), temperature)
    assert float(DecoupledInfoNCE(temperature)(z)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("n_views", [2, 3, 4])
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
def test_info_nce_equals_its_loops(n_views: int, epsilon: float, tile: int) -> None:
    z = views(n_views=n_views)
    expected = oracle.info_nce(z.numpy(), 0.1, epsilon)
    assert float(InfoNCE(0.1, epsilon)(z)) == pytest.approx(expected, abs=1e-9)


def test_info_nce_of_two_views_without_margin_is_nt_xent() -> None:
    z = views()
    assert float(InfoNCE(0.3)(z)) == pytest.approx(oracle.nt_xent(z.numpy(), 0.3), abs=1e-9)


@pytest.mark.parametrize("subjects", [2, 3, 8])
def test_orthogonal_rows_give_the_log_of_the_count(subjects: int) -> None:
    z = torch.eye(2 * subjects, dtype=torch.double).reshape(subjects, 2, -1)
    assert float(InfoNCE(0.1)(z)) == pytest.approx(math.log(2 * subjects - 1))
    assert float(DecoupledInfoNCE(0.1)(z)) == pytest.approx(math.log(subjects - 1), abs=1e-12)


def test_a_large_margin_leaves_the_positive_out_of_the_denominator() -> None:
    z = torch.eye(3, dtype=torch.double).unsqueeze(1).repeat(1, 2, 1)
    assert float(InfoNCE(1.0, epsilon=50)(z)) == pytest.approx(math.log(4) - 1)


def test_decoupled_info_nce_goes_one_way_from_view_0_to_view_1() -> None:
    z = views()
    assert float(DecoupledInfoNCE()(z)) != pytest.approx(float(DecoupledInfoNCE()(z.flip(1))))


@EVERY
@pytest.mark.parametrize("side", [3, 4, 7, 64])
def test_tiles_change_neither_value_nor_gradient(
    loss: nn.Module, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    z = views(subjects=11)
    value, slope = loss(z), gradient(loss, z)
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": side})
    torch.testing.assert_close(loss(z), value, rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient(loss, z), slope, rtol=0, atol=1e-12)


@EVERY
def test_gradient_is_that_of_finite_differences(loss: nn.Module, tile: int) -> None:
    assert torch.autograd.gradcheck(loss, views(subjects=4).requires_grad_())


def test_gradient_of_three_views_is_that_of_finite_differences(tile: int) -> None:
    z = views(subjects=3, n_views=3).requires_grad_()
    assert torch.autograd.gradcheck(InfoNCE(0.5, epsilon=0.1), z)


@EVERY
def test_the_order_of_the_subjects_does_not_matter(loss: nn.Module) -> None:
    z = views()
    torch.testing.assert_close(loss(z), loss(z.flip(0)))


@EVERY
def test_lengths_do_not_matter(loss: nn.Module) -> None:
    z = views()
    lengths = torch.arange(1, 13, dtype=torch.double).reshape(6, 2, 1)
    torch.testing.assert_close(loss(z), loss(z * lengths))


@EVERY
def test_the_input_and_the_global_random_state_stay_untouched(loss: nn.Module, tile: int) -> None:
    z = views().requires_grad_()
    before, state = z.detach().clone(), torch.get_rng_state()
    loss(z).backward()
    assert torch.equal(z.detach(), before)
    assert torch.equal(torch.get_rng_state(), state)


@LOW
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
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
    assert torch.isfinite(loss(z))
    assert torch.isfinite(gradient(loss, z)).all()


@LOW
def test_temperature_0_01_keeps_the_value_of_float64(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32)
    torch.testing.assert_close(loss(z).double(), loss(z.double()), rtol=1e-6, atol=0)


@pytest.mark.parametrize("temperature", [0.002, 1 / 60, 0.02])
def test_opposite_rows_neither_overflow_nor_vanish(temperature: float, tile: int) -> None:
    z = torch.tensor([[[1.0], [1.0]], [[-1.0], [-1.0]]])  # positives 1, negatives -1
    value = DecoupledInfoNCE(temperature)(z)
    assert float(value) == pytest.approx(-2 / temperature, rel=1e-5)
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
    assert loss(z).dtype == torch.float32
    assert gradient(loss, z).dtype == torch.bfloat16
    torch.testing.assert_close(loss(z), loss(z.float()))


@EVERY
def test_autocast_changes_nothing(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(z)
    value.backward()
    assert torch.equal(value, loss(z))
    assert z.grad is not None
    assert torch.equal(z.grad, gradient(loss, z))


@EVERY
def test_a_backward_pass_inside_autocast_works_too(loss: nn.Module, tile: int) -> None:
    z = views(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        slope = gradient(loss, z)
    torch.testing.assert_close(slope, gradient(loss, z), rtol=0, atol=0.01)


@EVERY
@pytest.mark.parametrize("shape", [(6, 5), (6, 1, 5), (1, 2, 5)], ids=str)
def test_a_wrong_shape_is_told_in_one_line(loss: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"^{type(loss).__name__}: z must .*, got .*\.$") as error:
        loss(torch.ones(shape))
    assert "\n" not in str(error.value)


def test_one_subject_is_told_the_cure() -> None:
    with pytest.raises(InputError, match=r"at least 2 subjects, got 1\. Use a larger batch"):
        InfoNCE(0.5)(torch.ones(1, 2, 5))


def test_integers_are_refused() -> None:
    with pytest.raises(InputError, match="must be floating"):
        DecoupledInfoNCE()(torch.ones(3, 2, 5, dtype=torch.long))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.001, math.inf, math.nan])
def test_a_senseless_temperature_is_refused(temperature: float) -> None:
    for loss in (InfoNCE, DecoupledInfoNCE):
        with pytest.raises(InputError, match=f"^{loss.__name__}: temperature must be"):
            loss(temperature)


@pytest.mark.parametrize("epsilon", [-0.1, math.inf, math.nan])
def test_a_senseless_margin_is_refused(epsilon: float) -> None:
    with pytest.raises(InputError, match=r"^InfoNCE: epsilon must be at least 0"):
        InfoNCE(0.5, epsilon)


def test_every_public_loss_names_its_targets_and_shows_its_settings() -> None:
    assert [name for name in losses.__all__ if not hasattr(getattr(losses, name), "targets")] == []
    assert repr(InfoNCE(0.5, 0.1)) == "InfoNCE(temperature=0.5, epsilon=0.1)"
    assert repr(DecoupledInfoNCE()) == "DecoupledInfoNCE(temperature=1.0)"


@pytest.mark.parametrize("loss", [InfoNCE(0.1), DecoupledInfoNCE(0.1)], ids=["info", "decoupled"])
def test_no_tensor_grows_with_the_square_of_the_batch(
    loss: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repulsion, "_TILE", {"cpu": 16})
    subjects, size = 200, 4
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
    torch.testing.assert_close(loss(z.cuda()).cpu(), loss(z), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        gradient(loss, z.cuda()).cpu(), gradient(loss, z), rtol=1e-4, atol=1e-6
    )
