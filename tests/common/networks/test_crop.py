"""Encoders of crops: black crops once, and an image as the average of its crops."""

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.networks import ChannelEncoder, CropEncoder, Projector
from common.networks.crop_encoder import encode_crops
from common.networks.memory_format import FlattenPixels
from common.policies import UniformCrops
from common.transforms import CropGrid
from tests.oracles.trainable_crop import crops
from tests.tiny import FEATURES, Matrix

GRID = CropGrid(8, 4, 2)


class Given(nn.Module):
    """A channel that knows every answer: ``log P (B, |T|)`` of the images in order."""

    def __init__(self, probability: Tensor) -> None:
        super().__init__()
        self.grid = GRID
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return self.probability[x[:, 0, 0, 0].round().long()].log()


def numbered(count: int = 3) -> Tensor:
    """Images whose first pixel is their number."""
    x = torch.rand(count, 1, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(0))
    x[:, 0, 0, 0] = torch.arange(count)
    return x


def probabilities(count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return (2 * torch.randn(count, 9, dtype=torch.double, generator=generator)).softmax(dim=1)


def channel_encoder(probability: Tensor, representation: str, average: str) -> ChannelEncoder:
    torch.manual_seed(0)
    encoder, projector = Matrix(16, FEATURES, "tanh"), Projector(FEATURES, 6, 4)
    encoder.out_features = FEATURES
    return ChannelEncoder(
        encoder, projector, Given(probability), representation, average, top=3
    ).double()


def represent(network: ChannelEncoder, image: Tensor, weight: list[float]) -> Tensor:
    """The weighted sum over the crops of one image, one after the other."""
    total = torch.zeros(network.out_features, dtype=torch.double)
    for crop, share in zip(crops(image, 4, 2), weight):
        f = network.encoder(crop[None])[0]
        h = network.projector(f)
        total = total + share * (f if network.representation == "features" else h / h.norm())
    return total if network.representation == "features" else total / total.norm()


def black_and_lit() -> Tensor:
    """Two images of 12 pixels: the left half of one is black, of the other the right."""
    x = torch.rand(2, 1, 12, 12, dtype=torch.double, generator=torch.Generator().manual_seed(2))
    x[0, ..., :8], x[1, ..., 4:] = 0, 0
    return x


WIDE = CropGrid(12, 8, 4)  # 2 x 2; black are 0 and 2 of the first image, 1 and 3 of the second
DRAWN = torch.tensor([[3, 0, 3, 2, 3], [0, 1, 2, 0, 0]])


def tiny_encoder() -> CropEncoder:
    torch.manual_seed(0)
    encoder = CropEncoder(side=8, channels=(3, 3), features=FEATURES).double()
    for p in encoder.parameters():
        nn.init.normal_(p, std=0.3)  # biases too: black crops have features
    return encoder


def test_the_crop_encoder_is_the_papers_and_its_biases_start_at_zero() -> None:
    encoder = CropEncoder()
    kinds = [type(layer) for layer in encoder.layers]
    assert kinds == [nn.Conv2d, nn.ReLU] * 2 + [nn.AvgPool2d, FlattenPixels, nn.Linear]
    assert encoder(torch.rand(2, 1, 20, 20)).shape == (2, 200)
    assert all(not p.any() for name, p in encoder.named_parameters() if name.endswith("bias"))
    with pytest.raises(InputError, match="side must be larger for this many layers, got 4"):
        CropEncoder(side=4)


@pytest.mark.parametrize("black", ["some", "all", "none"])
def test_equal_crops_encoded_as_one_equal_all_encoded(black: str) -> None:
    x = {"some": black_and_lit(), "all": 0 * black_and_lit(), "none": black_and_lit() + 0.1}[black]
    encoder = tiny_encoder()
    every = torch.stack([torch.stack(crops(image, 8, 4)) for image in x])
    drawn = torch.stack([each[chosen] for each, chosen in zip(every, DRAWN)])
    wanted = encoder(drawn.flatten(0, 1)).unflatten(0, (2, 5))
    assert wanted[0, 1].abs().min() > 0
    actual = encode_crops(encoder, WIDE, x, DRAWN)
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)
    seeds = torch.rand(2, 5, 1, dtype=torch.double, generator=torch.Generator().manual_seed(5))
    slopes = [
        torch.autograd.grad((out * seeds).sum(), encoder.parameters()) for out in (actual, wanted)
    ]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-10)


def test_a_crop_drawn_again_and_black_crops_reach_the_encoder_once() -> None:
    observed = []
    encoder = tiny_encoder()
    encoder.register_forward_pre_hook(lambda _, x: observed.append(len(x[0])))
    encode_crops(encoder, WIDE, black_and_lit(), DRAWN)
    assert observed == [1 + 1 + 2]


CLOSE = CropGrid(16, 8, 2)  # 5 x 5, overlapping
NEIGHBOURS = torch.tensor([[0, 1, 5, 6, 7, 0], [24, 23, 19, 18, 17, 24]])  # at opposite corners
SPREAD = torch.tensor([[0, 24, 4, 20, 12, 2], [6, 6, 6, 7, 7, 7]])
MIXED = torch.stack([SPREAD[0], NEIGHBOURS[1]])  # only the second image is better off in a window


@pytest.mark.parametrize(("drawn", "side"), [(NEIGHBOURS, 12), (MIXED, 12), (SPREAD, 0)])
@pytest.mark.parametrize("dark", [False, True])
def test_crops_that_overlap_are_encoded_by_windows_as_one_by_one(
    drawn: Tensor, side: int, dark: bool
) -> None:
    torch.manual_seed(0)
    encoder = CropEncoder(side=8, in_channels=2, channels=(3, 4), features=FEATURES).double()
    x = torch.rand(2, 2, 16, 16, dtype=torch.double)
    if dark:
        x[0] = 0
    observed: list[int] = []
    encoder.layers[0].register_forward_pre_hook(lambda _, x: observed.append(x[0].shape[-1]))
    actual = encode_crops(encoder, CLOSE, x, drawn)
    assert observed == ([8, side] if side else [8])
    every = torch.stack([torch.stack(crops(image, 8, 2)) for image in x])
    wanted = torch.stack(
        [torch.cat([encoder(each[n][None]) for n in row]) for each, row in zip(every, drawn)]
    )
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)
    seeds = torch.rand(2, 6, 1, dtype=torch.double)
    slopes = [
        torch.autograd.grad((out * seeds).sum(), encoder.parameters()) for out in (actual, wanted)
    ]
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-10)


def test_windows_are_not_for_a_stride_that_the_pooling_would_split() -> None:
    encoder, observed = tiny_encoder(), []
    encoder.layers[0].register_forward_pre_hook(lambda _, x: observed.append(x[0].shape[-1]))
    x = torch.rand(1, 1, 11, 11, dtype=torch.double)
    odd = CropGrid(11, 8, 1)
    actual = encode_crops(encoder, odd, x, torch.arange(16)[None])
    assert observed == [8]
    wanted = encoder(torch.stack(crops(x[0], 8, 1)))[None]
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


def test_an_encoder_that_normalises_by_the_batch_sees_every_crop() -> None:
    encoder = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64)).double()
    x = black_and_lit()
    drawn = WIDE.gather(x, DRAWN)
    wanted = nn.BatchNorm1d(64).double()(drawn.flatten(0, 1).flatten(1)).unflatten(0, (2, 5))
    actual = encode_crops(encoder, WIDE, x, DRAWN)
    torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("representation", ["features", "projection"])
@pytest.mark.parametrize("average", ["mean", "top"])
def test_an_image_is_the_average_of_its_crops(representation: str, average: str) -> None:
    probability = probabilities()
    network, x = channel_encoder(probability, representation, average), numbered()
    for image, p, actual in zip(x, probability.tolist(), network(x)):
        largest = sorted(p)[-3]
        weight = p if average == "mean" else [(value >= largest) / 3 for value in p]
        wanted = represent(network, image, weight)
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-12)


def test_crops_that_cannot_matter_are_not_looked_at() -> None:
    probability = torch.full((3, 9), 1e-8, dtype=torch.double)
    probability[:, 4] = 1 - 8e-8
    network, observed = channel_encoder(probability, "features", "mean"), []
    network.encoder.register_forward_pre_hook(lambda _, x: observed.append(len(x[0])))
    actual = network(numbered())
    assert observed == [1 + 3]
    wanted = [represent(network, image, probability[0].tolist()) for image in numbered()]
    torch.testing.assert_close(actual, torch.stack(wanted), rtol=0, atol=1e-6)


def test_many_images_are_represented_in_pieces_as_one_by_one() -> None:
    network = channel_encoder(probabilities(40), "projection", "mean")
    x = numbered(40)
    wanted = torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(network(x), wanted, rtol=0, atol=1e-12)


def test_directions_have_length_one_in_mixed_precision() -> None:
    torch.manual_seed(0)
    grid = CropGrid(28, 20, 4)
    network = ChannelEncoder(CropEncoder(), Projector(200, 200, 50), UniformCrops(grid))
    x = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    index = torch.arange(len(grid)).expand(8, -1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        h = network.unit(x, index)
    torch.testing.assert_close(h.norm(dim=2), torch.ones(8, len(grid)), rtol=0, atol=1e-6)
    torch.testing.assert_close(h, network.unit(x, index), rtol=0, atol=0.01)


def test_the_width_is_that_of_the_readout() -> None:
    for representation, width in (("features", 200), ("projection", 50)):
        network = ChannelEncoder(
            CropEncoder(),
            Projector(200, 200, 50),
            UniformCrops(CropGrid(28, 20, 4)),
            representation,
        )
        z = network(torch.rand(2, 1, 28, 28))
        assert z.shape == (2, width) == (2, network.out_features)
    assert z.norm(dim=1).tolist() == pytest.approx([1, 1], rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"representation": "h"}, "representation must be 'features' or 'projection', got 'h'"),
        ({"average": "median"}, "average must be 'mean' or 'top', got 'median'"),
        ({"top": 10}, "top must be from 1 to 9 crops, got 10"),
    ],
)
def test_bad_settings_are_told_in_one_line(settings: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        ChannelEncoder(CropEncoder(), Projector(200), UniformCrops(GRID), **settings)


def test_the_projector_starts_without_biases() -> None:
    projector = Projector(4, 4, 3, leading_activation=True)
    assert all(layer.bias.abs().max() > 0 for layer in projector.layers if hasattr(layer, "bias"))
    ChannelEncoder(CropEncoder(8, features=4), projector, UniformCrops(CropGrid(16, 8, 4)))
    assert [type(layer) for layer in projector.layers] == [nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert all(not layer.bias.any() for layer in projector.layers if hasattr(layer, "bias"))
