"""What the transformations of cells add: the middle of an image, and a shear."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from common.checks import InputError
from common.transforms import Composition, affine, center_crop

X = torch.rand(1, 2, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_the_middle_is_enlarged_whatever_the_parameter() -> None:
    wanted = torch.nn.functional.interpolate(X[..., 2:6, 2:6], (8, 8), mode="bilinear")
    for lam in (0.0, 0.3, 1.0):
        out = center_crop(X, torch.full((1, 1), lam, dtype=torch.float64))
        torch.testing.assert_close(out, wanted)


def test_a_shear_is_the_affine_transform_of_scipy() -> None:
    lam = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.9]], dtype=torch.float64)
    out = affine(X, lam, degrees=0, shift=0, scale=0, shear=10)
    push = math.tan(math.radians(0.8 * 10))
    matrix = np.array([[1, 0], [push, 1]])  # a pixel comes from a column further right, lower down
    offset = 3.5 - matrix @ [3.5, 3.5]
    wanted = ndimage.affine_transform(
        X[0, 0].numpy(), matrix, offset, order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(out[0, 0].numpy(), wanted, atol=1e-12)


def test_a_shear_is_a_fifth_parameter_of_a_composition() -> None:
    settings = {"affine": {"shear": 10.0}}
    assert Composition(["affine"], settings=settings).sizes == (5,)
    assert Composition(["affine"]).sizes == (4,)


@pytest.mark.bad_input("learning")
def test_a_shear_out_of_range_or_in_3d_is_told_in_one_line() -> None:
    volume, five, eight = torch.rand(1, 1, 4, 4, 4), torch.rand(1, 5), torch.rand(1, 8)
    for x, lam, shear in ((X, five, 90), (X, five, -1), (volume, eight, 5)):
        with pytest.raises(InputError, match=r"^affine: shear must be in \[0, 90\) degrees"):
            affine(x, lam, shear=shear)
    with pytest.raises(InputError, match=r"^center_crop: size must be in \(0, 1\], got 0"):
        center_crop(X, five[:, :1], size=0)
