"""TorchIO's bias field and blur, against loops and SciPy."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from common.checks import InputError
from common.transforms import Composition, axis_blur, bias_field
from common.transforms.bias_field import n_coefficients
from tests.oracles import views as oracle

SIZES = {2: (2, 7, 10), 3: (1, 5, 6, 1)}
DIMENSIONS = pytest.mark.parametrize("spatial", [2, 3], ids=["2D", "3D"])


def example(spatial: int, columns: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(2, *SIZES[spatial], generator=generator, dtype=torch.float64)
    return x, torch.rand(2, columns, generator=generator, dtype=torch.float64)


@DIMENSIONS
@pytest.mark.parametrize("order", [0, 2, 3])
def test_the_bias_field_equals_the_loop_written_from_the_formula(spatial: int, order: int) -> None:
    x, lam = example(spatial, n_coefficients(spatial, order))
    out = bias_field(x, lam, coefficients=0.4, order=order)
    for image, row, observed in zip(x, lam, out):
        wanted = oracle.bias_field(image.numpy(), row.tolist(), 0.4, order)
        assert np.abs(wanted - image.numpy()).max() > 1e-3
        np.testing.assert_allclose(observed.numpy(), wanted, rtol=0, atol=1e-12)


def test_a_half_everywhere_is_no_bias() -> None:
    x, lam = example(2, 10)
    torch.testing.assert_close(bias_field(x, torch.full_like(lam, 0.5)), x)


@DIMENSIONS
def test_the_blur_of_each_axis_is_that_of_scipy(spatial: int) -> None:
    x, lam = example(spatial, spatial)
    out = axis_blur(x, lam, max_sigma=2.5)
    for image, row, observed in zip(x.numpy(), lam.numpy(), out):
        wanted = [ndimage.gaussian_filter(channel, 2.5 * row) for channel in image]
        assert np.abs(np.array(wanted) - image).max() > 1e-2
        np.testing.assert_allclose(observed.numpy(), wanted, rtol=0, atol=1e-12)


def test_the_blur_of_a_tenth_of_a_pixel_changes_nothing() -> None:
    x, lam = example(2, 2)
    assert torch.equal(axis_blur(x, lam, max_sigma=0.1), x)
    one = x[0, 0].numpy()
    assert np.array_equal(ndimage.gaussian_filter(one, 0.1), one)  # TorchIO's as well


@DIMENSIONS
def test_gradients_are_exact(spatial: int) -> None:
    x, lam = example(spatial, n_coefficients(spatial, 1))
    assert torch.autograd.gradcheck(
        lambda image, row: bias_field(image, row, order=1),
        (x.requires_grad_(), lam.requires_grad_()),
    )
    widths = (0.3 + 0.1 * torch.rand(2, spatial, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(axis_blur, (x[..., :3, :4, :4], widths))


def test_the_medical_set_is_a_composition() -> None:
    order = ["axis_blur", "noise", "bias_field"]
    settings = {
        "axis_blur": {"max_sigma": 0.1},
        "noise": {"max_std": 0.1},
        "bias_field": {"coefficients": 0.1, "order": 2},
    }
    flat = Composition(order, settings=settings)
    assert flat.sizes == (2, 1, 6)
    assert Composition(order, spatial_dims=3, settings=settings).sizes == (3, 1, 10)
    x, _ = example(2, 1)
    lam = torch.rand(2, 9, dtype=torch.float64)
    lam[1] = torch.nan
    out = flat(x, lam)
    assert torch.equal(out[1], x[1])
    assert not torch.equal(out[0], x[0])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order": -1}, "order must be at least 0, got -1"),
        ({"coefficients": -0.5}, "coefficients must be at least 0 and finite, got -0.5"),
        ({"order": 2}, r"lam must have shape \(2, 6\)"),
    ],
)
def test_a_bad_setting_of_the_bias_field_is_one_line(
    settings: dict[str, float], words: str
) -> None:
    x, lam = example(2, 10)
    with pytest.raises(InputError, match=words):
        bias_field(x, lam, **settings)  # type: ignore[arg-type]  # the point of the test


def test_a_negative_blur_is_one_line() -> None:
    with pytest.raises(InputError, match="max_sigma must be at least 0 and finite, got -1"):
        axis_blur(*example(2, 2), max_sigma=-1)
