"""The layout of convolution weights, and of what the convolutions hand on."""

import torch
from torch import nn

from common.networks.memory_format import FlattenPixels, use_channels_last


def test_a_first_layer_of_one_channel_hands_on_channels_last() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3))
    x = torch.rand(2, 1, 8, 9)
    assert network[0](x).stride(1) > 1, "premise: PyTorch's own weights keep the channels first"
    expected = network(x)
    use_channels_last(network)
    assert network[0](x).stride(1) == 1
    torch.testing.assert_close(network(x), expected)


def test_pixels_are_flattened_one_after_the_other_and_their_gradient_keeps_the_layout() -> None:
    x = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    kept = []
    x.register_hook(lambda slope: kept.append(slope.stride(1)))
    rows = FlattenPixels()(x)
    expected = [[one[:, r, c].tolist() for r in range(4) for c in range(5)] for one in x]
    assert rows.unflatten(1, (20, 3)).tolist() == expected
    assert rows.data_ptr() == x.data_ptr(), "a channels-last tensor is copied"
    rows.square().sum().backward()
    assert kept == [1]
