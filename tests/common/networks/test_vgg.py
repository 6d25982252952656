"""VGG-11, -13 and -16 as encoders."""

import pytest
import torch

from common.checks import InputError
from common.networks import VGGEncoder

# published parameters, without the classifier and the bias of each of so many output channels
CLASSIFIER = 25_088 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 1000 + 1000
PUBLISHED = {11: (132_863_336, 2752), 13: (133_047_848, 2944), 16: (138_357_544, 4224)}


@pytest.mark.parametrize("depth", PUBLISHED)
def test_vgg_has_the_convolutions_of_the_published_networks(depth: int) -> None:
    parameters, channels = PUBLISHED[depth]
    with torch.device("meta"):
        encoder = VGGEncoder(depth)
    kernels = sum(p.numel() for p in encoder.parameters() if p.ndim == 4)
    assert kernels == parameters - CLASSIFIER - channels
    assert sum(p.numel() for p in encoder.parameters() if p.ndim == 1) == 2 * channels


@pytest.mark.parametrize("dims", [2, 3])
def test_vgg_halves_five_times_and_averages_the_places(dims: int) -> None:
    encoder = VGGEncoder(11, dims, in_channels=1, width=1 / 16).eval()
    x = torch.rand(2, 1, *[32] * dims)
    assert encoder.layers(x).shape == (2, 32, *[1] * dims)
    assert encoder(x).shape == (2, encoder.out_features) == (2, 32)


@pytest.mark.bad_input("learning")
def test_senseless_settings_of_vgg_are_told_in_one_line() -> None:
    for settings, message in (
        ({"depth": 12}, r"^VGGEncoder: depth must be 11, 13 or 16, got 12"),
        ({"spatial_dims": 1}, r"^VGGEncoder: spatial_dims must be 2 or 3, got 1"),
        ({"width": 0.001}, r"^VGGEncoder: width must leave a channel of 64, got 0.001"),
    ):
        with pytest.raises(InputError, match=message):
            VGGEncoder(**settings)


def test_a_norm_within_the_image_makes_it_independent_of_its_batch() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 1, 32, 32)
    encoder = VGGEncoder(11, in_channels=1, width=0.25, norm=["GROUP", {"num_groups": 4}])
    torch.testing.assert_close(encoder(x)[:2], encoder(x[:2]), rtol=1e-4, atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in encoder.modules())
