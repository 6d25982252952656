"""ConvNeXt-Tiny as an encoder."""

import pytest
import torch
from torch import nn

from common.checks import InputError
from common.networks import ConvNeXtEncoder

TINY = 28_589_128 - (768 * 1000 + 1000)  # published parameters, without the classifier


def test_the_encoder_has_the_parameters_of_the_published_network() -> None:
    with torch.device("meta"):
        encoder = ConvNeXtEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == TINY
    assert encoder.out_features == 768


@pytest.mark.parametrize(("dims", "small", "side"), [(2, False, 2), (2, True, 4), (3, False, 2)])
def test_the_stages_halve_pictures_and_volumes(dims: int, small: bool, side: int) -> None:
    encoder = ConvNeXtEncoder(dims, 1, small, depths=(1, 1), channels=(4, 8)).eval()
    x = torch.rand(2, 1, *[16] * dims)
    assert encoder.stages(x).shape == (2, 8, *[side] * dims)
    assert encoder(x).shape == (2, 8)


def test_a_block_is_its_formula() -> None:
    block = ConvNeXtEncoder(2, 1, depths=(1,), channels=(4,)).stages[-1].eval()
    nn.init.normal_(block.gamma)
    x = torch.rand(2, 4, 8, 8)
    rows = block.depthwise(x).permute(0, 2, 3, 1)
    first, _, second = block.inside
    normed = nn.functional.layer_norm(rows, (4,), block.norm.weight, block.norm.bias, 1e-6)
    inside = second(nn.functional.gelu(first(normed)))
    expected = x + (block.gamma * inside).permute(0, 3, 1, 2)
    torch.testing.assert_close(block(x), expected)


@pytest.mark.bad_input("learning")
def test_senseless_settings_are_told_in_one_line() -> None:
    for settings, message in (
        ({"spatial_dims": 1}, r"^ConvNeXtEncoder: spatial_dims must be 2 or 3, got 1"),
        ({"depths": (1, 1)}, r"^ConvNeXtEncoder: depths and channels must be as many"),
        ({"drop_path": 1.0}, r"^ConvNeXtEncoder: drop_path must be in \[0, 1\), got 1.0"),
    ):
        with pytest.raises(InputError, match=message):
            ConvNeXtEncoder(**settings)
