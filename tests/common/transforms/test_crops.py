"""The grid of crops: which is which, and cut without a loop as with one."""

import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.transforms import CropGrid
from tests.oracles.trainable_crop import crops

GRID = CropGrid(9, 4, 2)  # 3 x 3 crops, the last row and column of pixels in none


def images(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, 9, 9, dtype=torch.double, generator=generator)


@pytest.mark.parametrize(("side", "count"), [(84, 289), (28, 9)], ids=["grid", "MNIST"])
def test_the_papers_images_have_as_many_crops_as_it_says(side: int, count: int) -> None:
    assert len(CropGrid(side, 20, 4)) == count


def test_every_crop_is_the_slice_at_its_place_row_by_row() -> None:
    x = images()
    wanted = torch.stack([torch.stack(crops(image, 4, 2)) for image in x])
    assert wanted.shape == (3, 9, 2, 4, 4)
    assert torch.equal(GRID.every(x), wanted)
    assert torch.equal(wanted[1, 5], x[1, :, 2:6, 4:8])


def test_gathered_crops_are_the_slices_of_a_loop() -> None:
    x, index = images(), torch.tensor([[0, 8, 8, 3], [5, 1, 2, 7], [4, 4, 4, 4]])
    wanted = [
        torch.stack([crops(image, 4, 2)[t] for t in chosen]) for image, chosen in zip(x, index)
    ]
    assert torch.equal(GRID.gather(x, index), torch.stack(wanted))
    chosen, image = torch.tensor([7, 1, 4]), torch.tensor([2, 0, 2])
    apart = torch.stack([crops(x[i], 4, 2)[t] for i, t in zip(image, chosen)])
    assert torch.equal(GRID.gather(x, chosen, image), apart)


def test_a_gathered_pixel_passes_its_gradient_back_as_often_as_it_was_cut() -> None:
    x = images(1).requires_grad_()
    GRID.gather(x, torch.tensor([[0, 1, 1]])).sum().backward()
    assert x.grad is not None
    assert x.grad[0, 0, 0].tolist() == [1, 1, 3, 3, 2, 2, 0, 0, 0]
    assert not x.grad[:, :, 4:].any()


def test_crops_touch_a_mask_that_has_a_pixel_inside_them() -> None:
    mask = torch.zeros(2, 1, 9, 9)
    mask[0, 0, 3, 3] = mask[1, 0, 8, 8] = 1
    wanted = torch.tensor([[bool(crop.any()) for crop in crops(image, 4, 2)] for image in mask])
    assert wanted.sum(dim=1).tolist() == [4, 0]
    assert torch.equal(GRID.touching(mask), wanted)


@pytest.mark.parametrize("settings", [(8, 9, 2), (8, 0, 2), (8, 4, 0)])
def test_crops_that_do_not_fit_are_refused(settings: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="crop_size must be from 1 to image_size"):
        CropGrid(*settings)


@pytest.mark.parametrize("shape", [(1, 1, 9, 8), (1, 1, 8, 8), (9, 9)])
def test_images_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"x must be \(B, C, 9, 9\)"):
        GRID.every(torch.zeros(shape))
