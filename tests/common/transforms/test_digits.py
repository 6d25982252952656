"""What the transformations of digits add: a border, a negative, an erased box."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from common.checks import InputError
from common.transforms import Composition, pad
from common.transforms.photo import erase, invert

X = torch.rand(2, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_a_border_shrinks_the_image_about_its_centre_as_scipy_does() -> None:
    lam = torch.tensor([[0.0], [0.5]]).double()
    for image, border, out in zip(X, (0.1, 0.25), pad(X, lam)):
        larger = 1 + 2 * border
        wanted = ndimage.affine_transform(
            image[0].numpy(), [larger, larger], 4 - 4 * larger, order=1, mode="grid-constant"
        )
        np.testing.assert_allclose(out[0].numpy(), wanted, atol=1e-12)


def test_a_volume_has_a_border_on_every_side() -> None:
    out = pad(torch.ones(1, 1, 8, 8, 8), torch.ones(1, 1), share=(0, 0.5))[0, 0]
    assert out.sum() == 4**3
    assert out[2:6, 2:6, 2:6].min() == 1


def test_the_erased_box_has_the_area_shape_and_place_told() -> None:
    lam = torch.tensor([[0.5, 0.5, 0.0, 1.0], [0.5, 0.0, 1.0, 0.0]])
    out = erase(torch.ones(2, 3, 20, 20), lam, scale=(0.25, 0.25), ratio=(0.25, 4.0))
    assert (out[0, :, :10, 10:] == 0).all()
    assert out[0].sum() == 3 * 300
    assert (out[1, :, :, :5] == 0).all()  # a quarter as wide as high
    assert out[1].sum() == 3 * 300


def test_boxes_are_as_large_as_random_erasing_makes_them() -> None:
    lam = torch.rand(4000, 4, generator=torch.Generator().manual_seed(1))
    gone = 1 - erase(torch.ones(4000, 1, 32, 32), lam, scale=(0.02, 0.3)).mean(dim=(1, 2, 3))
    assert 0.015 < gone.min() < 0.03
    assert 0.28 < gone.max() < 0.32
    assert gone.mean() == pytest.approx(0.16, abs=0.01)


def test_twice_a_negative_is_the_image_and_all_three_compose() -> None:
    lam = torch.rand(2, 1)
    torch.testing.assert_close(invert(invert(X, lam), lam), X)
    assert Composition(["pad", "invert", "erase"]).sizes == (1, 1, 4)


@pytest.mark.bad_input("learning")
def test_borders_and_boxes_out_of_range_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^pad: share must be two rising values from 0, got 0.4"):
        pad(X, torch.zeros(2, 1), share=(0.4, 0.1))
    with pytest.raises(InputError, match=r"^erase: scale must be two rising values above 0, got 0"):
        erase(X, torch.zeros(2, 4), scale=(0, 0.3))
    with pytest.raises(InputError, match=r"^erase: x must be \(B, C, H, W\), got shape"):
        erase(torch.rand(1, 1, 4, 4, 4), torch.zeros(1, 4))
