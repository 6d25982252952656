"""Every transformation against its formula, and what all of them promise."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.transforms import (
    affine,
    blur,
    crop,
    crop_resize,
    cutout,
    flip,
    mirror,
    noise,
    rotate,
)
from tests.oracles import transforms as oracle

SIZES = {2: (2, 7, 10), 3: (1, 5, 6, 7)}  # channels and sides: never square
DIMENSIONS = pytest.mark.parametrize("spatial", [2, 3], ids=["2D", "3D"])


def seeded_noise(x: Tensor, lam: Tensor) -> Tensor:
    return noise(x, lam, generator=torch.Generator().manual_seed(5))


def flip_0(x: Tensor, lam: Tensor) -> Tensor:
    return flip(x, lam, axis=0)


FUNCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "flip": flip_0,
    "crop": crop,
    "blur": blur,
    "noise": seeded_noise,
    "rotate": rotate,
    "mirror": mirror,
    "cutout": cutout,
    "crop_resize": crop_resize,
    "affine": affine,
}
ORACLES: dict[str, Callable[[np.ndarray, list[float]], np.ndarray]] = {
    "flip": lambda image, lam: oracle.flip(image, lam[0], axis=0),
    "blur": lambda image, lam: oracle.blur(image, lam[0]),
    "mirror": lambda image, lam: oracle.mirror(image, lam[0]),
    "crop": oracle.crop,
    "rotate": oracle.rotate,
    "cutout": oracle.cutout,
    "crop_resize": oracle.crop_resize,
    "affine": oracle.affine,
}
STEPS = ("mirror", "cutout", "crop_resize")  # whole pixels or axes: no gradient in lambda
EVERY = pytest.mark.parametrize("name", FUNCTIONS)
SMOOTH = pytest.mark.parametrize("name", [name for name in FUNCTIONS if name not in STEPS])
WITHOUT_NOISE = pytest.mark.parametrize("name", ORACLES)


def parameters(name: str, spatial: int) -> int:
    angles = 1 if spatial == 2 else 3
    places = dict.fromkeys(("crop", "cutout", "crop_resize"), spatial)
    return {**places, "rotate": angles, "affine": angles + spatial + 1}.get(name, 1)


def example(name: str, spatial: int, batch: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, *SIZES[spatial], generator=generator, dtype=torch.float64)
    lam = torch.rand(batch, parameters(name, spatial), generator=generator, dtype=torch.float64)
    lam = 0.2 + 0.6 * lam  # away from where blur is the identity in effect
    return x, lam


@DIMENSIONS
@WITHOUT_NOISE
def test_equals_the_loop_written_from_the_formula(name: str, spatial: int) -> None:
    x, lam = example(name, spatial, batch=2)
    for image, row, out in zip(x, lam, FUNCTIONS[name](x, lam)):
        wanted = ORACLES[name](image.numpy(), row.tolist())
        assert np.abs(wanted - image.numpy()).max() > 1e-3
        np.testing.assert_allclose(out.numpy(), wanted, rtol=0, atol=1e-10)


@DIMENSIONS
@SMOOTH
def test_gradients_in_image_and_parameter_are_exact(name: str, spatial: int) -> None:
    x, lam = example(name, spatial, batch=2)
    x, lam = x[..., :4, :5], lam
    assert torch.autograd.gradcheck(FUNCTIONS[name], (x.requires_grad_(), lam.requires_grad_()))


@DIMENSIONS
@pytest.mark.parametrize("name", STEPS)
def test_gradients_in_the_image_of_steps_are_exact(name: str, spatial: int) -> None:
    x, lam = example(name, spatial, batch=2)
    x = x[..., :4, :5].requires_grad_()
    assert torch.autograd.gradcheck(lambda image: FUNCTIONS[name](image, lam), (x,))


@pytest.mark.parametrize("wanted", ["image", "parameter"])
@SMOOTH
def test_a_gradient_wanted_alone_is_the_same(name: str, wanted: str) -> None:
    x, lam = example(name, 2)
    both = torch.autograd.grad(
        FUNCTIONS[name](x.requires_grad_(), lam.requires_grad_()).square().sum(), (x, lam)
    )
    index = 0 if wanted == "image" else 1
    inputs = [x.detach(), lam.detach()]
    inputs[index].requires_grad_()
    out = FUNCTIONS[name](*inputs).square().sum()
    torch.testing.assert_close(torch.autograd.grad(out, inputs[index])[0], both[index])


@DIMENSIONS
@WITHOUT_NOISE
def test_an_image_alone_equals_the_same_image_in_a_batch(name: str, spatial: int) -> None:
    x, lam = example(name, spatial)
    together = FUNCTIONS[name](x, lam)
    for i in range(3):
        alone = FUNCTIONS[name](x[i : i + 1], lam[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=0, atol=1e-12)


@DIMENSIONS
@pytest.mark.parametrize("name", ["flip", "blur", "noise", "rotate"])
def test_zero_is_the_identity(name: str, spatial: int) -> None:
    x, lam = example(name, spatial)
    out = FUNCTIONS[name](x, torch.zeros_like(lam))
    torch.testing.assert_close(out, x, rtol=0, atol=1e-12)
    if name in ("flip", "noise"):
        assert torch.equal(out, x)


@EVERY
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_the_dtype_of_the_image_is_kept_whatever_that_of_the_parameter(
    name: str, dtype: torch.dtype
) -> None:
    x, lam = (tensor.to(dtype) for tensor in example(name, 2))
    wide = torch.promote_types(dtype, torch.float32)
    wanted = FUNCTIONS[name](x.to(wide), lam.to(wide)).to(dtype)
    for lam_dtype in (dtype, torch.float32):
        out = FUNCTIONS[name](x, lam.to(lam_dtype))
        assert out.dtype == dtype
        if lam_dtype == dtype or dtype != torch.float64:  # else the parameter itself was rounded
            torch.testing.assert_close(out, wanted)


@EVERY
def test_mixed_precision_does_not_reach_the_coordinates(name: str) -> None:
    x, lam = (tensor.float() for tensor in example(name, 2))
    plain = FUNCTIONS[name](x, lam)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = FUNCTIONS[name](x, lam)
    assert torch.equal(plain, mixed)


@EVERY
def test_inputs_and_global_random_state_are_untouched(name: str) -> None:
    x, lam = example(name, 2)
    copies, state = (x.clone(), lam.clone()), torch.get_rng_state()
    FUNCTIONS[name](x, lam)
    assert torch.equal(x, copies[0])
    assert torch.equal(lam, copies[1])
    assert torch.equal(torch.get_rng_state(), state)


@EVERY
def test_images_that_are_not_contiguous_give_the_same(name: str) -> None:
    x, lam = example(name, 2)
    strided = x.transpose(2, 3).contiguous().transpose(2, 3)
    assert not strided.is_contiguous()
    torch.testing.assert_close(FUNCTIONS[name](strided, lam), FUNCTIONS[name](x, lam))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flip_at_one_is_the_exact_mirror_image(axis: int) -> None:
    x, lam = example("flip", 3)
    assert torch.equal(flip(x, torch.ones_like(lam), axis=axis), x.flip(axis + 2))


def test_a_quarter_turn_is_rot90_of_numpy() -> None:
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)
    wanted = np.rot90(x.numpy(), axes=(2, 3))
    assert not np.allclose(wanted, np.rot90(x.numpy(), k=-1, axes=(2, 3)))
    out = rotate(x, torch.tensor([[0.25]], dtype=torch.float64))
    np.testing.assert_allclose(out.numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize(("axis", "plane"), [(0, (3, 4)), (1, (4, 2)), (2, (2, 3))])
def test_a_quarter_turn_about_one_axis_is_rot90_in_the_other_two(
    axis: int, plane: tuple[int, int]
) -> None:
    x = torch.rand(1, 1, 4, 4, 4, dtype=torch.float64)
    lam = torch.zeros(1, 3, dtype=torch.float64)
    lam[0, axis] = 0.25
    np.testing.assert_allclose(rotate(x, lam).numpy(), np.rot90(x.numpy(), axes=plane), atol=1e-12)


@DIMENSIONS
def test_a_half_turn_of_an_oblong_image_is_two_flips(spatial: int) -> None:
    x, lam = example("rotate", spatial)
    half = torch.zeros_like(lam)
    half[:, -1] = 0.5  # about the last axis in 3D: the plane of the first two
    torch.testing.assert_close(rotate(x, half), x.flip(2, 3), rtol=0, atol=1e-12)


def test_crop_keeps_a_sixteenth_of_the_area() -> None:
    x = torch.ones(1, 1, 224, 224, dtype=torch.float64)
    kept = crop(x, torch.full((1, 2), 0.5)).mean().item()
    assert kept == pytest.approx(1 / 16, rel=0.01)


def test_crop_takes_another_width_and_slope() -> None:
    x, lam = example("crop", 2, batch=1)
    out = crop(x, lam, half_width=2.5, slope=3.0)[0].numpy()
    wanted = oracle.crop(x[0].numpy(), lam[0].tolist(), half_width=2.5, slope=3.0)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-10)


@DIMENSIONS
@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0, 1.2])  # short filters and a long one
def test_blur_takes_another_largest_sigma(sigma: float, spatial: int) -> None:
    x, lam = example("blur", spatial, batch=2)
    for image, row, out in zip(x, lam, blur(x, lam, max_sigma=sigma)):
        wanted = oracle.blur(image.numpy(), row.item(), max_sigma=sigma)
        np.testing.assert_allclose(out.numpy(), wanted, rtol=0, atol=1e-10)


@DIMENSIONS
def test_blur_with_the_edge_beyond_the_border_is_that_of_the_padded_image(spatial: int) -> None:
    x, lam = example("blur", spatial, batch=2)
    pads = (6,) * 2 * spatial
    wider = torch.nn.functional.pad(x, pads, mode="replicate")
    inside = (slice(None), slice(None), *[slice(6, -6)] * spatial)
    wanted = blur(wider, lam)[inside]
    assert not torch.allclose(blur(x, lam), wanted, atol=1e-3)
    torch.testing.assert_close(blur(x, lam, border="edge"), wanted, rtol=0, atol=1e-12)


def test_gradients_of_a_blur_with_edges_are_exact() -> None:
    x, lam = example("blur", 2, batch=2)
    inputs = (x[..., :4, :5].requires_grad_(), lam.requires_grad_())
    assert torch.autograd.gradcheck(lambda image, share: blur(image, share, border="edge"), inputs)


def test_gradients_of_a_short_blur_are_exact() -> None:
    x, lam = example("blur", 3, batch=2)
    inputs = (x[..., :4, :5].requires_grad_(), lam.requires_grad_())
    assert torch.autograd.gradcheck(lambda image, share: blur(image, share, max_sigma=1.0), inputs)


def test_blur_of_an_image_smaller_than_the_kernel_equals_the_loop() -> None:
    x, lam = example("blur", 2, batch=1)
    x = x[:, :, :2, :1]
    wanted = oracle.blur(x[0].numpy(), lam.item())
    np.testing.assert_allclose(blur(x, lam)[0].numpy(), wanted, rtol=0, atol=1e-10)


def test_noise_is_standard_normal_times_a_tenth_of_lambda() -> None:
    x = torch.zeros(2, 1, 300, 300, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    full, half = noise(x, torch.tensor([[1.0], [0.5]]), generator=generator).flatten(1)
    for drawn, std in ((full, 0.1), (half, 0.05)):
        assert drawn.std().item() == pytest.approx(std, rel=0.01)
        assert drawn.mean().item() == pytest.approx(0, abs=0.02 * std)
        assert (drawn.abs() < std).double().mean().item() == pytest.approx(0.6827, abs=0.005)


def test_noise_is_finite_where_the_uniform_draw_is_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def ends(self: Tensor, low: float, high: float, **_: object) -> Tensor:
        return self.copy_(torch.tensor([low, high]))

    monkeypatch.setattr(Tensor, "uniform_", ends)
    out = noise(torch.zeros(1, 1, 1, 2), torch.ones(1, 1))
    assert out.abs().max().item() == pytest.approx(0.1 * 4.89, abs=0.01)
    assert math.copysign(1, out[0, 0, 0, 0].item()) == -1


def test_noise_is_replayed_by_the_generator_and_new_without() -> None:
    x, lam = example("noise", 2)
    assert torch.equal(seeded_noise(x, lam), seeded_noise(x, lam))
    assert not torch.equal(noise(x, lam), noise(x, lam))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x, lam: flip(x, lam, axis=2), "flip: axis must be a spatial axis 0 to 1, got 2."),
        (lambda x, lam: crop(x, lam), r"crop: lam must have shape \(3, 2\) .* got \(3, 1\)."),
        (
            lambda x, lam: blur(x, lam, max_sigma=0),
            "blur: max_sigma must be positive and finite, got 0.",
        ),
        (
            lambda x, lam: blur(x, lam, border="wrap"),
            "blur: border must be zeros or edge, got 'wrap'",
        ),
        (
            lambda x, lam: noise(x, lam, max_std=-1),
            "noise: max_std must be at least 0 and finite, got -1.",
        ),
        (lambda x, lam: rotate(x[0], lam), r"rotate: x must be \(B, C, H, W\) or .*\(2, 7, 10\)."),
        (lambda x, lam: blur(x.int(), lam), "blur: x must be floating point, got torch.int32."),
        (
            lambda x, lam: crop(x, lam.repeat(1, 2), half_width=0),
            "crop: half_width must be positive and finite, or null, got 0.",
        ),
        (lambda x, lam: crop(x, lam.repeat(1, 2), slope=-1), "crop: slope must be positive"),
    ],
)
def test_bad_input_is_told_in_one_line(call: Callable[[Tensor, Tensor], Tensor], text: str) -> None:
    x, lam = example("blur", 2)
    with pytest.raises(InputError, match=text) as caught:
        call(x, lam)
    assert "\n" not in str(caught.value)
