"""The volume augmentations: places, settings, identities, and against scipy."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy import ndimage
from torch import Tensor

from common.checks import InputError
from common.policies import EachWithProbability
from common.transforms import Composition, affine, blur, crop_resize, cutout, mirror, noise
from tests.oracles import transforms as oracle

Y_AWARE = {
    "blur": {"min_sigma": 0.1, "max_sigma": 1.0},
    "noise": {"min_std": 0.1, "max_std": 1.0},
}
ORDER = ("mirror", "blur", "noise", "cutout", "crop_resize")


def volume(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("shift", [0.0, 2.3])
@pytest.mark.parametrize(("degrees", "scale"), [(0.0, 0.0), (0.0, 0.2), (25.0, 0.2)])
def test_affine_is_the_affine_transform_of_scipy(
    degrees: float, scale: float, shift: float
) -> None:
    x, lam = volume(2, 1, 9, 8, 10), volume(2, 7, seed=1)
    out = affine(x, lam, degrees=degrees, shift=shift, scale=scale)
    for image, row, result in zip(x, lam, out):
        unit = 2 * row.numpy() - 1
        turn = oracle.rotation_matrix((unit[:3] * degrees / 360).tolist())
        matrix = turn / (1 + scale * unit[6])
        centre = (np.array(image.shape[1:]) - 1) / 2
        offset = centre - matrix @ (centre + shift * unit[3:6])
        wanted = ndimage.affine_transform(
            image[0].numpy(), matrix, offset, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(result[0].numpy(), wanted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("degrees", [0.0, 10.0])
@pytest.mark.parametrize("spatial", [2, 3])
def test_affine_in_the_middle_is_the_identity(spatial: int, degrees: float) -> None:
    x = volume(2, 2, *(5, 6, 7)[:spatial])
    half = torch.full((2, 4 if spatial == 2 else 7), 0.5, dtype=torch.float64)
    torch.testing.assert_close(affine(x, half, degrees=degrees), x, rtol=0, atol=1e-12)
    assert not torch.allclose(affine(x, half + 0.1, degrees=degrees), x)


def test_affine_without_rotation_is_the_limit_of_a_small_one() -> None:
    x, lam = volume(2, 1, 6, 7, 8), volume(2, 7, seed=1)
    small = affine(x, lam, degrees=1e-7, shift=1.5)
    torch.testing.assert_close(affine(x, lam, degrees=0, shift=1.5), small, rtol=0, atol=1e-6)


def test_gradients_without_rotation_are_exact() -> None:
    x, lam = volume(2, 1, 4, 5).requires_grad_(), volume(2, 4, seed=1).requires_grad_()

    def moved(image: Tensor, parameters: Tensor) -> Tensor:
        return affine(image, parameters, degrees=0, shift=1.3, scale=0.2)

    assert torch.autograd.gradcheck(moved, (x, lam))


def test_a_shift_by_whole_pixels_moves_the_pixels_and_brings_in_zeros() -> None:
    x = volume(1, 1, 5, 6)
    lam = torch.tensor([[0.5, 1.0, 0.0, 0.5]], dtype=torch.float64)
    out = affine(x, lam, degrees=0, shift=2, scale=0)
    torch.testing.assert_close(out[..., 2:, :-2], x[..., :-2, 2:])
    assert not out[..., :2, :].any()
    assert not out[..., -2:].any()


@pytest.mark.parametrize(("lam", "first"), [(0.0, 0), (0.5, 3), (1.0, 6)])
def test_cutout_is_a_whole_box_wherever_it_lies(lam: float, first: int) -> None:
    x = torch.ones(1, 2, 8, 8, 8)
    out = cutout(x, torch.full((1, 3), lam))
    hidden = out == 0
    assert hidden.sum() == 2 * 2**3
    assert hidden[0, 1, first : first + 2, first : first + 2, first : first + 2].all()


def test_every_place_of_the_box_is_equally_likely() -> None:
    lam = (torch.arange(700, dtype=torch.float64) + 0.5)[:, None] / 700
    out = cutout(torch.ones(700, 1, 8, 1), torch.cat([lam, lam], dim=1))
    starts = (out[:, 0, :, 0] == 0).float().argmax(dim=1)
    assert starts.bincount().tolist() == [100] * 7


def test_cutout_hides_what_is_not_a_number() -> None:
    x = torch.full((1, 1, 4, 4), math.nan)
    out = cutout(x, torch.full((1, 2), 0.5), size=1)
    assert torch.equal(out, torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("lam", [0.0, 0.3, 1.0])
def test_a_crop_of_the_whole_is_the_identity(lam: float) -> None:
    x = volume(2, 2, 5, 6, 7)
    out = crop_resize(x, torch.full((2, 3), lam), size=1)
    torch.testing.assert_close(out, x, rtol=0, atol=1e-12)


def test_a_crop_in_a_corner_is_that_of_interpolate() -> None:
    x = volume(1, 1, 8, 8)
    box = x[..., :6, :6]
    wanted = torch.nn.functional.interpolate(box, (8, 8), mode="bilinear", align_corners=False)
    out = crop_resize(x, torch.zeros(1, 2), size=0.75)
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-12)


def test_mirror_picks_each_axis_in_equal_shares() -> None:
    x = volume(6, 1, 3, 4, 5)
    lam = torch.tensor([[0.0], [0.3], [0.4], [0.6], [0.7], [1.0]])
    out = mirror(x, lam)
    for row, axis in enumerate((0, 0, 1, 1, 2, 2)):
        assert torch.equal(out[row], x[row].flip(axis + 1))
    assert torch.equal(mirror(x, lam, axes=[1]), x.flip(3))


def test_blur_and_noise_take_a_range() -> None:
    x, lam = volume(1, 1, 6, 7), torch.tensor([[0.4]], dtype=torch.float64)
    wanted = oracle.blur(x[0].numpy(), 0.46, max_sigma=1.0)
    np.testing.assert_allclose(blur(x, lam, **Y_AWARE["blur"])[0].numpy(), wanted, atol=1e-10)
    seeded = [torch.Generator().manual_seed(2) for _ in range(2)]
    ranged = noise(x, lam, generator=seeded[0], **Y_AWARE["noise"]) - x
    full = noise(x, torch.ones_like(lam), generator=seeded[1], max_std=1.0) - x
    torch.testing.assert_close(ranged, 0.46 * full, rtol=0, atol=1e-12)


def test_a_composition_takes_the_settings_of_its_transformations() -> None:
    x, lam = volume(2, 1, 6, 5, 7), volume(2, 15, seed=1)
    settings = {"cutout": {"size": 0.5}, "affine": {"degrees": 0}, "mirror": {"axes": [2]}}
    composition = Composition(("cutout", "affine", "mirror"), 3, settings)
    wanted = affine(cutout(x, lam[:, :3], size=0.5), lam[:, 3:10], degrees=0)
    assert torch.equal(composition(x, lam[:, :11]), mirror(wanted, lam[:, 10:11], axes=[2]))
    assert not torch.equal(composition(x, lam[:, :11]), Composition(ORDER, 3)(x, lam[:, :9]))


def test_the_augmentations_of_y_aware_come_from_json_and_the_policy() -> None:
    parser = ConfigParser(
        {
            "transform": {
                "_target_": "common.transforms.Composition",
                "order": list(ORDER),
                "spatial_dims": 3,
                "settings": Y_AWARE,
            }
        }
    )
    composition = parser.get_parsed_content("transform")
    assert composition.sizes == (1, 1, 1, 3, 3)
    x = volume(64, 1, 6, 6, 6)
    lam = EachWithProbability(0.5, composition.sizes)(x, torch.Generator().manual_seed(0))
    untouched = lam.isnan().all(dim=1)
    assert 0 < untouched.sum() < 10
    out = composition(x, lam, torch.Generator().manual_seed(1))
    same = (out == x).flatten(1).all(dim=1)
    assert torch.equal(same, untouched)


def test_masks_follow_every_geometry() -> None:
    x, lam = volume(2, 1, 6, 6, 6), volume(2, 9, seed=1)
    out = Composition(ORDER, 3).geometric(x, lam)
    wanted = crop_resize(cutout(mirror(x, lam[:, :1]), lam[:, 3:6]), lam[:, 6:9])
    assert torch.equal(out, wanted)


X, LAM = torch.rand(2, 1, 4, 4), torch.rand(2, 4)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: cutout(X, LAM[:, :2], size=0), r"cutout: size must be in \(0, 1\], got 0."),
        (lambda: crop_resize(X, LAM[:, :2], size=2), r"crop_resize: size must be in .*got 2."),
        (lambda: affine(X, LAM[:, :3]), r"affine: lam must have shape \(2, 4\)"),
        (
            lambda: affine(X, LAM, degrees=-1),
            "affine: degrees must be at least 0 and finite, got -1.",
        ),
        (lambda: affine(X, LAM, shift=-1), "affine: shift must be at least 0 and finite, got -1."),
        (lambda: affine(X, LAM, scale=1), r"affine: scale must be in \[0, 1\), got 1."),
        (lambda: mirror(X, LAM[:, :1], axes=[2]), "mirror: axes must be .* 0 to 1, got .2."),
        (lambda: mirror(X, LAM[:, :1], axes=[]), r"mirror: axes must be .*, got \[\]."),
        (lambda: blur(X, LAM[:, :1], min_sigma=3), "min_sigma must be between 0 and max_sigma"),
        (lambda: noise(X, LAM[:, :1], min_std=3), "min_std must be between 0 and max_std = 0.1"),
    ],
)
def test_bad_input_is_told_in_one_line(call: Callable[[], Tensor], text: str) -> None:
    with pytest.raises(InputError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("order", "settings", "text"),
    [
        (["blur"], {"noise": {}}, "settings must be of blur, got 'noise'."),
        (
            ["blur"],
            {"blur": {"sigma": 1}},
            "settings of blur must be max_sigma, min_sigma, border, got",
        ),
        (["flip_0"], {"flip_0": {"axis": 1}}, "settings of flip_0 must be empty, got 'axis'."),
    ],
)
def test_a_bad_setting_is_told_when_the_composition_is_made(
    order: Sequence[str], settings: dict[str, dict[str, float]], text: str
) -> None:
    with pytest.raises(InputError, match=f"Composition: {text}"):
        Composition(order, settings=settings)
