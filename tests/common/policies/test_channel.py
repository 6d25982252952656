"""Channels: probabilities of crops, their entropy, and where the oracle looks."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.networks.memory_format import FlattenPixels
from common.policies import CellCrops, CropChannel, UniformCrops
from common.policies.crop_channel import channel_entropy
from common.transforms import CropGrid

GRID = CropGrid(16, 8, 4)  # 3 x 3 crops
PAPER = CropGrid(84, 20, 4)


def images(count: int = 3) -> Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def one_cell(cell: int) -> Tensor:
    """Grid-MNIST's field with something in the middle of one cell."""
    x = torch.zeros(1, 1, 84, 84)
    down, right = 28 * (cell // 3), 28 * (cell % 3)
    x[..., down + 10 : down + 18, right + 10 : right + 18] = 1
    return x


@pytest.mark.parametrize("reduction", [1, 4])
def test_the_channel_starts_uniform_and_stays_a_probability(reduction: int) -> None:
    channel = CropChannel(GRID, reduction=reduction)
    start = channel(images())
    torch.testing.assert_close(start, UniformCrops(GRID)(images()))
    nn.init.normal_(channel.layers[-1].weight)
    probability = channel(images()).exp()
    assert probability.shape == (3, 9)
    assert probability.std() > 0.01
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(3))


def test_probabilities_sum_to_one_in_mixed_precision() -> None:
    channel = CropChannel(PAPER)
    nn.init.normal_(channel.layers[-1].weight, std=0.3)
    x = torch.rand(8, 1, 84, 84, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        log_probability = channel(x)
        total = log_probability.exp().sum(dim=1)
    torch.testing.assert_close(total, torch.ones(8), rtol=0, atol=1e-6)
    torch.testing.assert_close(log_probability, channel(x), rtol=0, atol=0.1)


def test_the_channel_is_the_network_of_figure_5() -> None:
    kinds = [type(layer) for layer in CropChannel(PAPER).layers]
    assert kinds == [
        nn.Conv2d, nn.ReLU, nn.Conv2d, nn.ReLU, nn.AvgPool2d, FlattenPixels, nn.Linear, nn.ReLU,
        nn.Linear,
    ]  # fmt: skip
    sizes = [tuple(p.shape) for p in CropChannel(PAPER).parameters() if p.ndim == 2]
    assert sizes == [(128, 32 * 42 * 42), (289, 128)]


def test_the_channel_learns_from_the_first_step_although_it_starts_at_zero() -> None:
    channel = CropChannel(GRID)
    channel(images())[:, 0].sum().backward()
    assert channel.layers[-1].weight.grad is not None
    assert channel.layers[-1].weight.grad.abs().max() > 1e-4


def test_entropy_is_the_sum_over_crops_and_exact_where_some_are_impossible() -> None:
    p = [[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [1 / 3] * 3]
    wanted = [-sum(v * math.log(v) for v in row if v > 0) for row in p]
    log_p = torch.tensor(p, dtype=torch.double).log().requires_grad_()
    actual = channel_entropy(log_p)
    assert actual.tolist() == pytest.approx(wanted, abs=1e-12)
    actual.sum().backward()
    assert log_p.grad is not None
    assert log_p.grad.isfinite().all()


def test_uniform_crops_have_the_largest_entropy_and_nothing_to_learn() -> None:
    channel = UniformCrops(PAPER)
    assert channel_entropy(channel(one_cell(0))).item() == pytest.approx(math.log(289), rel=1e-6)
    assert not list(channel.parameters())


@pytest.mark.parametrize("cell", range(9))
def test_the_oracle_takes_the_nine_crops_inside_the_digits_cell(cell: int) -> None:
    down, right = 28 * (cell // 3), 28 * (cell % 3)
    wanted = {(down + i) // 4 * 17 + (right + j) // 4 for i in (0, 4, 8) for j in (0, 4, 8)}
    p = CellCrops(PAPER)(one_cell(cell)).exp()[0]
    assert set(p.nonzero()[:, 0].tolist()) == wanted
    assert p[p > 0].tolist() == pytest.approx([1 / 9] * 9, rel=1e-6)


def test_channels_without_weights_leave_nothing_in_a_state_dict() -> None:
    assert not CellCrops(PAPER).state_dict()
    assert not UniformCrops(PAPER).state_dict()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: CropChannel(GRID, reduction=9), "reduction must be from 1 to half"),
        (lambda: CropChannel(GRID, reduction=0), "reduction must be from 1 to half"),
        (lambda: CellCrops(PAPER, cell=30), "cell must divide the image's side 84"),
        (lambda: CellCrops(PAPER, cell=14), "hold a crop of 20 pixels, got 14"),
    ],
)
def test_bad_settings_are_told_in_one_line(make: Callable[[], nn.Module], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()
