"""A parameter outside [0, 1] and a setting that is not finite are told, not computed with."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.methods import absolute_error
from common.networks.unit_length import unit_length
from common.policies import CropChannel
from common.transforms import (
    Composition,
    CropGrid,
    affine,
    axis_blur,
    bias_field,
    blur,
    mirror,
    noise,
)
from common.transforms.declaration import DECLARED

bad_input = pytest.mark.bad_input("learning")
PHOTO = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def parameters(name: str) -> Tensor:
    return torch.full((2, Composition([name]).n_parameters), 0.5)


@bad_input
@pytest.mark.parametrize("bad", [-0.6, -1e-3, 1.001, math.nan, math.inf])
@pytest.mark.parametrize("name", sorted(DECLARED.keys() - {"flip"}))
def test_every_transformation_refuses_a_parameter_outside_its_range(name: str, bad: float) -> None:
    lam = parameters(name)
    lam[1, 0] = bad
    with pytest.raises(InputError, match=rf"^{name}: lam must lie in \[0, 1\], got {bad:g}\.$"):
        DECLARED[name].function(PHOTO, lam)


@bad_input
@pytest.mark.parametrize("bad", [-0.6, 1.001, math.inf, -math.inf])
def test_a_composition_refuses_one_too_and_takes_nan_for_not_applied(bad: float) -> None:
    composition, lam = Composition(["mirror", "blur"]), torch.full((2, 2), math.nan)
    assert torch.equal(composition(PHOTO, lam), PHOTO)
    lam[1, 0] = bad
    with pytest.raises(InputError, match=r"or be NaN for what is not applied, got .*\.$"):
        composition(PHOTO, lam)


@bad_input
@pytest.mark.parametrize(
    ("function", "setting"),
    [
        (blur, "max_sigma"),
        (axis_blur, "max_sigma"),
        (affine, "degrees"),
        (affine, "shift"),
        (bias_field, "coefficients"),
        (noise, "max_std"),
    ],
)
def test_a_setting_that_is_not_finite_is_refused(
    function: Callable[..., Any], setting: str
) -> None:
    for bad in (math.inf, math.nan):
        with pytest.raises(InputError, match=rf"{setting} must be .* finite, got {bad}"):
            function(PHOTO, parameters(function.__name__), **{setting: bad})


def test_a_mirror_of_several_axes_is_made_of_the_image_alone() -> None:
    for lam in (0.0, 0.49, 0.51, 1.0):
        mirrored = mirror(PHOTO, torch.full((2, 1), lam))
        assert torch.equal(mirrored, PHOTO.flip(2 if lam < 0.5 else 3))


@bad_input
def test_a_channel_that_is_not_finite_draws_nothing() -> None:
    channel = CropChannel(CropGrid(8, 4, 2), in_channels=3)
    torch.nn.init.constant_(channel.layers[-1].bias, math.nan)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^CropChannel: log P must be finite, got NaN"):
        channel(PHOTO)


@bad_input
def test_an_infinite_target_is_not_an_unknown_one() -> None:
    known = absolute_error(torch.zeros(2, 1), torch.tensor([3.0, math.nan]))
    assert known == 3
    assert absolute_error(torch.zeros(2, 1), torch.tensor([3.0, math.inf])) == math.inf


@bad_input
@pytest.mark.parametrize("length", [1e-30, 1e30])
def test_unit_vectors_come_from_rows_of_any_length(length: float) -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]]) * length
    torch.testing.assert_close(unit_length(x), torch.tensor([[0.6, 0.8], [0.0, 0.0]]))
    assert unit_length(torch.tensor([[math.inf, 1.0]])).isnan().any()
