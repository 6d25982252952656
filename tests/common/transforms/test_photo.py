"""The changes of photographs, each against its formula."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from common.checks import InputError
from common.policies import EachWithProbability
from common.transforms import Composition
from common.transforms.photo import (
    color_jitter,
    erase,
    grayscale,
    invert,
    resized_crop,
    shift,
    solarize,
)
from tests.oracles import views as oracle

FUNCTIONS: dict[str, tuple[Callable[..., Tensor], int]] = {
    "resized_crop": (resized_crop, 4),
    "color_jitter": (color_jitter, 5),
    "grayscale": (grayscale, 1),
    "shift": (shift, 2),
    "solarize": (solarize, 1),
    "erase": (erase, 4),
    "invert": (invert, 1),
}
EVERY = pytest.mark.parametrize("name", FUNCTIONS)


def photos(batch: int = 3, side: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, side, side + 2, generator=generator, dtype=torch.float64)


def parameters(name: str, batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(batch, FUNCTIONS[name][1], generator=generator, dtype=torch.float64)


@EVERY
def test_an_image_alone_is_what_it_is_in_the_batch(name: str) -> None:
    function, x, lam = FUNCTIONS[name][0], photos(), parameters(name)
    together = function(x, lam)
    assert together.shape == x.shape
    alone = torch.cat([function(x[i : i + 1], lam[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert ((together >= 0) & (together <= 1)).all()


@pytest.mark.parametrize("name", ["resized_crop", "color_jitter"])
def test_gradients_are_right(name: str) -> None:
    x = (0.4 + 0.2 * photos(2, 3)).requires_grad_()  # away from the clamps
    lam = (0.45 + 0.1 * parameters(name, 2)).requires_grad_()
    assert torch.autograd.gradcheck(FUNCTIONS[name][0], (x, lam), atol=1e-4)


def test_a_box_of_the_whole_image_is_the_identity() -> None:
    lam = torch.tensor([[1.0, 0.5, 0.3, 0.9]]).double()
    x = photos(1, 6)[..., :6]
    torch.testing.assert_close(resized_crop(x, lam, ratio=(1, 1)), x)


def test_a_quarter_box_in_the_corner_is_that_corner_enlarged() -> None:
    ramp = torch.arange(8.0).expand(1, 3, 8, 8)
    lam = torch.tensor([[0.0, 0.5, 1.0, 1.0]])
    observed = resized_crop(ramp, lam, scale=(0.25, 1), ratio=(1, 1))
    expected = 4 + 0.5 * (torch.arange(8.0) + 0.5) - 0.5
    torch.testing.assert_close(observed[0, 0, 0], expected.clamp(max=7))


def test_the_shape_of_the_box_follows_the_ratio() -> None:
    rising = torch.arange(9.0)
    x = torch.stack([rising[:, None].expand(9, 9), rising.expand(9, 9)])[None]
    lam = torch.tensor([[0.0, 1.0, 0.5, 0.5]])  # a ninth of the area, 9/4 as wide as high
    observed = resized_crop(x, lam, scale=(1 / 9, 1), ratio=(4 / 9, 9 / 4))
    height = (observed[0, 0, -1, 0] - observed[0, 0, 0, 0]).item()
    width = (observed[0, 1, 0, -1] - observed[0, 1, 0, 0]).item()
    assert (height, width) == pytest.approx((8 / 9 * 2, 8 / 9 * 4.5), abs=1e-5)


@pytest.mark.parametrize("hue", [0.1, 0.5])
def test_color_jitter_equals_the_loop_written_from_the_formula(hue: float) -> None:
    x, lam = photos(24, 4), parameters("color_jitter", 24)
    lam[:, 4] = (torch.arange(24) + 0.5) / 24  # every order
    x[0] = 0.3  # no colour
    x[1, 1] = x[1, 0]  # no single greatest or least channel
    observed = color_jitter(x, lam, contrast=0.3, saturation=0.2, hue=hue)
    for image, row, out in zip(x, lam, observed):
        wanted = oracle.color_jitter(image.numpy(), row.tolist(), (0.4, 0.3, 0.2, hue))
        np.testing.assert_allclose(out.numpy(), wanted, rtol=0, atol=1e-12)


def test_color_jitter_leaves_its_input_and_is_the_same_with_gradients() -> None:
    x, lam = photos(6, 4), parameters("color_jitter", 6)
    before = x.clone()
    plain = color_jitter(x, lam)
    assert torch.equal(x, before)
    tracked = color_jitter(x.clone().requires_grad_(), lam)
    torch.testing.assert_close(plain, tracked.detach(), rtol=0, atol=1e-12)


def test_half_changes_no_colour_in_any_order() -> None:
    x = photos(24, 4)
    lam = torch.full((24, 5), 0.5).double()
    lam[:, 4] = torch.linspace(0, 1, 24)
    torch.testing.assert_close(color_jitter(x, lam), x, rtol=0, atol=1e-12)


def test_grayscale_and_solarize_are_pillows_to_a_grey_level() -> None:
    x = (photos(1) * 255).round()
    picture = Image.fromarray(x[0].permute(1, 2, 0).numpy().astype(np.uint8))
    grey = grayscale(x / 255, torch.zeros(1, 1))[0] * 255
    assert np.abs(np.asarray(picture.convert("L")) - grey.numpy()).max() < 1
    negative = solarize(x / 255, torch.zeros(1, 1))[0].permute(1, 2, 0) * 255
    np.testing.assert_allclose(negative.numpy(), np.asarray(ImageOps.solarize(picture)), atol=1e-9)


@pytest.mark.parametrize("lam", [0.0, 0.5, 1.0])
def test_shift_moves_by_whole_pixels_into_black(lam: float) -> None:
    x = photos(1, 8)
    moved = shift(x, torch.tensor([[lam, 0.5]]).double(), pixels=2)
    step = math.floor(min(5 * lam, 4)) - 2
    expected = torch.zeros_like(x)
    for row in range(8):
        if 0 <= row - step < 8:
            expected[:, :, row] = x[:, :, row - step]
    assert torch.equal(moved, expected)


def test_each_transformation_has_its_own_chance_in_a_composition() -> None:
    order = ["resized_crop", "mirror", "color_jitter", "grayscale"]
    transform = Composition(order, settings={"mirror": {"axes": [1]}})
    policy = EachWithProbability([1.0, 0.5, 0.8, 0.0], transform.sizes)
    x = photos(400, 4)
    lam = policy(x, torch.Generator().manual_seed(0))
    applied = [~part.isnan().any(dim=1) for part in lam.split(list(transform.sizes), dim=1)]
    shares = [part.double().mean().item() for part in applied]
    assert shares == pytest.approx([1.0, 0.5, 0.8, 0.0], abs=0.08)
    assert transform(x, lam).shape == x.shape
    assert transform.names[5:7] == ("color_jitter_0", "color_jitter_1")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: resized_crop(x, torch.rand(3, 4), scale=(0.5, 2)), "scale must be two rising"),
        (lambda x: color_jitter(x[:, :1], torch.rand(3, 5)), "must be RGB"),
        (lambda x: color_jitter(x, torch.rand(3, 5), hue=0.7), "hue in"),
        (lambda x: grayscale(x, torch.rand(3, 2)), r"lam must have shape \(3, 1\)"),
        (lambda x: shift(x, torch.rand(3, 2), pixels=-1), "pixels must be at least 0"),
        (lambda x: EachWithProbability([0.5, 2.0], [1, 1]), r"probability must be in \[0, 1\]"),
    ],
)
def test_a_bad_argument_is_one_line(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(photos().float())
