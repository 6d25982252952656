"""Encoders, projector and the deployed classifier."""

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import Tensor, nn

from common.checks import InputError
from common.networks import ConvEncoder, DenseNetEncoder, ImageClassifier, Projector

MAKERS: dict[str, tuple[Callable[[int], nn.Module], int]] = {
    "ConvEncoder": (lambda dims: ConvEncoder(dims, 2, channels=(3, 4, 6)), 8),
    "DenseNetEncoder": (lambda dims: DenseNetEncoder(dims, 2), 32),
}


def images(dims: int, side: int, count: int = 2) -> Tensor:
    return torch.rand(count, 2, *[side] * dims, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", MAKERS)
def test_an_encoder_gives_one_row_of_out_features_per_image(name: str, dims: int) -> None:
    make, side = MAKERS[name]
    encoder = make(dims).eval()
    h = encoder(images(dims, side))
    assert h.shape == (2, encoder.out_features)
    assert torch.isfinite(h).all()


@pytest.mark.parametrize("name", MAKERS)
def test_in_evaluation_an_image_alone_equals_the_image_in_a_batch(name: str) -> None:
    make, side = MAKERS[name]
    encoder, x = make(2).double().eval(), images(2, side, count=3).double()
    alone = torch.cat([encoder(one[None]) for one in x])
    torch.testing.assert_close(encoder(x), alone, rtol=0, atol=1e-10)


def test_the_conv_encoder_has_two_convolutions_per_block_and_pools_between_blocks() -> None:
    kinds = [type(m) for m in ConvEncoder().modules()]
    assert kinds.count(nn.Conv2d) == 8
    assert kinds.count(nn.MaxPool2d) == 3
    assert ConvEncoder().out_features == 256


def test_the_conv_encoder_without_normalisation_has_no_statistics() -> None:
    encoder = ConvEncoder(channels=(3, 4), norm=None)
    assert list(encoder.buffers()) == []
    assert encoder(images(2, 8)[:, :1]).shape == (2, 4)


def test_the_conv_encoder_works_at_its_smallest_side_and_on_odd_ones() -> None:
    encoder = ConvEncoder(in_channels=2, channels=(3, 4, 6)).eval()
    assert encoder(images(2, 4)).shape == (2, 6)
    assert encoder(images(2, 13)).shape == (2, 6)


def test_the_conv_encoder_averages_over_positions() -> None:
    """Away from the border a shifted image has the same representation."""
    encoder = ConvEncoder(in_channels=2, channels=(3,), norm=None).double()
    x = torch.zeros(1, 2, 12, 12, dtype=torch.double)
    x[:, :, 4:7, 4:7] = 1
    moved = encoder(x.roll(1, dims=-1))
    torch.testing.assert_close(moved, encoder(x), rtol=0, atol=1e-12)


def test_the_densenet_encoder_is_densenet121_before_its_last_layer() -> None:
    encoder, x = DenseNetEncoder(2, 2).double().eval(), images(2, 32).double()
    whole = DenseNet121(2, 2, out_channels=1).double().eval()
    missing = whole.load_state_dict(encoder.network.state_dict(), strict=False)
    assert set(missing.missing_keys) == {"class_layers.out.weight", "class_layers.out.bias"}
    assert missing.unexpected_keys == []
    last = whole.class_layers.out
    torch.testing.assert_close(last(encoder(x)), whole(x), rtol=0, atol=1e-12)


def test_the_projector_is_linear_relu_linear() -> None:
    projector, h = Projector(4, 5, 3).double(), torch.randn(6, 4, dtype=torch.double)
    first, _, second = projector.layers
    hidden = (h @ first.weight.T + first.bias).clamp(min=0)
    torch.testing.assert_close(projector(h), hidden @ second.weight.T + second.bias)


def test_the_classifier_is_its_head_on_its_encoder() -> None:
    classifier = ImageClassifier(ConvEncoder(2, 2, channels=(3, 4)), 4, num_classes=3).eval()
    x = images(2, 8)
    h = classifier.encode(x)
    assert torch.equal(h, classifier.encoder(x))
    torch.testing.assert_close(classifier(x), h @ classifier.head.weight.T + classifier.head.bias)
    assert classifier(x).shape == (2, 3)


def test_model_pt_holds_an_encoder_and_a_head_only() -> None:
    names = ImageClassifier(ConvEncoder(channels=(3, 4)), 4).state_dict()
    assert {name.split(".")[0] for name in names} == {"encoder", "head"}


@pytest.mark.parametrize("name", MAKERS)
def test_the_classifier_scripts_for_export(name: str) -> None:
    make, side = MAKERS[name]
    encoder = make(2)
    classifier, x = ImageClassifier(encoder, encoder.out_features).eval(), images(2, side)
    scripted = torch.jit.script(classifier)
    torch.testing.assert_close(scripted(x), classifier(x))


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_reach_every_parameter_and_the_image(name: str) -> None:
    make, side = MAKERS[name]
    encoder, x = make(2), images(2, side).requires_grad_()
    encoder(x).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters())
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_an_encoder_for_one_axis_is_refused() -> None:
    with pytest.raises(InputError, match=r"^ConvEncoder: spatial_dims must be 2 or 3, got 1\.$"):
        ConvEncoder(spatial_dims=1)
