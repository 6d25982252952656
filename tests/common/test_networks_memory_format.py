"""The layout of convolution weights, and of what the convolutions hand on."""

import torch
from torch import nn

from common.networks.memory_format import use_channels_last


def test_a_first_layer_of_one_channel_hands_on_channels_last() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3))
    x = torch.rand(2, 1, 8, 9)
    assert network[0](x).stride(1) > 1, "premise: PyTorch's own weights keep the channels first"
    expected = network(x)
    use_channels_last(network)
    assert network[0](x).stride(1) == 1
    torch.testing.assert_close(network(x), expected)
