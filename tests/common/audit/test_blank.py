"""A view is black, or one value, where a person sees nothing in it."""

import pytest
import torch

from common.audit.blank import dark_and_flat, standing_out
from common.transforms import crop


def square(background: float = 0.0) -> torch.Tensor:
    """A bright square in a corner of a picture."""
    x = torch.full((1, 1, 32, 32), background)
    x[..., 16:28, 16:28] = 0.9
    return x


def test_a_faint_rim_that_a_soft_window_leaves_is_black() -> None:
    view = crop(square(), torch.tensor([[0.25, 0.25]]))  # its edge is 4 pixels from the square
    assert 3 / 255 < view.max() < 16 / 255
    assert dark_and_flat(square(), view).flatten().tolist() == [True, False]


@pytest.mark.parametrize(("centre", "black"), [(0.3125, True), (0.45, False), (0.7, False)])
def test_a_window_is_black_until_it_reaches_what_there_is(centre: float, black: bool) -> None:
    view = crop(square(), torch.tensor([[centre, centre]]))
    assert dark_and_flat(square(), view)[0].tolist() == [black]


def test_a_grey_view_of_one_value_is_constant_and_not_black() -> None:
    image = square(background=0.4)
    found = dark_and_flat(image, torch.full_like(image, 0.4) + 0.01 * torch.rand_like(image))
    assert found.flatten().tolist() == [False, True]


def test_a_small_thing_in_a_dark_field_is_no_black_view() -> None:
    x = torch.zeros(1, 3, 64, 64)
    x[:, 1, 30:33, 30:33] = 0.2
    assert standing_out(x)[0].tolist() == pytest.approx([9 / 64**2])
    assert not dark_and_flat(x, x).any()
