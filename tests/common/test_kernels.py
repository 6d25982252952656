"""Every kernel against its formula."""

import math

import pytest
import torch

from common import kernels
from common.checks import InputError
from common.kernels import Cauchy, Cosine, Delta, Gaussian, Kernel, Window
from tests.oracles import kernel_losses as oracle

PAIRS: dict[str, tuple[Kernel, oracle.Kernel]] = {
    "Gaussian": (Gaussian(3.0), oracle.gaussian(3.0)),
    "Cauchy": (Cauchy(0.5), oracle.cauchy(0.5)),
    "Cosine": (Cosine(), oracle.cosine),
    "Delta": (Delta(), oracle.delta),
    "Window": (Window(3.5), oracle.window(3.5)),
}
EVERY = pytest.mark.parametrize("name", PAIRS)


@EVERY
@pytest.mark.parametrize("components", [None, 1, 3])
def test_a_kernel_equals_its_formula_pair_by_pair(name: str, components: int | None) -> None:
    kernel, formula = PAIRS[name]
    shape = () if components is None else (components,)
    a, b = torch.arange(5.0).repeat(9)[: 4 * (components or 1)], torch.arange(-2.0, 13.0)
    a, b = a.double().reshape(4, *shape), b.double()[: 5 * (components or 1)].reshape(5, *shape)
    values = kernel(a, b)
    points = a.reshape(4, -1).tolist(), b.reshape(5, -1).tolist()
    expected = torch.tensor([[formula(p, q) for q in points[1]] for p in points[0]])
    assert values.dtype == torch.double
    torch.testing.assert_close(values, expected.double(), rtol=0, atol=1e-7)


@EVERY
def test_a_kernel_is_symmetric_to_the_last_bit_and_1_at_equality(name: str) -> None:
    y = torch.rand(67, generator=torch.Generator().manual_seed(0)) * 60 + 20
    values = PAIRS[name][0](y, y)
    assert torch.equal(values, values.T)
    assert values.diagonal().tolist() == pytest.approx([1.0] * 67)


@EVERY
def test_a_kernel_leaves_its_arguments_alone_and_takes_whole_numbers(name: str) -> None:
    y = torch.tensor([1, 2, 2])
    values = PAIRS[name][0](y, y)
    assert y.tolist() == [1, 2, 2]
    assert values.is_floating_point()
    assert torch.equal(values, PAIRS[name][0](y.float(), y.float()))


def test_a_vector_of_zeros_has_cosine_0() -> None:
    assert Cosine()(torch.zeros(1, 2), torch.ones(1, 2)).item() == 0


def test_widths_mean_what_their_docstrings_say() -> None:
    a, b = torch.zeros(1, dtype=torch.double), torch.tensor([2.0], dtype=torch.double)
    assert Gaussian(2.0)(a, b).item() == pytest.approx(math.exp(-0.5))
    assert Cauchy(2.0)(a, b).item() == pytest.approx(1 / 9)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.inf, math.nan])
def test_a_senseless_width_is_refused(sigma: float) -> None:
    for kernel in (Gaussian, Cauchy):
        with pytest.raises(InputError, match=rf"^{kernel.__name__}: sigma must be above 0"):
            kernel(sigma)
    with pytest.raises(InputError, match=r"^Window: width must be above 0"):
        Window(sigma)


@EVERY
def test_points_of_different_length_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^kernel: a and b must be .* got \(3, 2\) and \(3,\)"):
        PAIRS[name][0](torch.ones(3, 2), torch.ones(3))


def test_every_kernel_shows_its_settings() -> None:
    shown = [repr(getattr(kernels, name)(2.0)) for name in ("Gaussian", "Cauchy")]
    assert [*shown, repr(Window(2.0)), repr(Cosine()), repr(Delta())] == [
        "Gaussian(sigma=2.0)",
        "Cauchy(sigma=2.0)",
        "Window(width=2.0)",
        "Cosine()",
        "Delta()",
    ]
