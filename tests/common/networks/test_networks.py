"""Encoders, projector and the deployed classifier."""

from collections.abc import Callable

import pytest
import torch
from monai.networks.nets import DenseNet121
from torch import Tensor, nn

from common.checks import InputError
from common.networks import (
    AlexNet3D,
    ConvEncoder,
    DenseNetEncoder,
    EmbeddingEncoder,
    ImageClassifier,
    Projector,
    ResNet18Encoder,
    SimpleConvNet,
    StandardizedEncoder,
)

Maker = Callable[[int], nn.Module]


def conv(dims: int) -> ConvEncoder:
    return ConvEncoder(dims, 2, channels=(3, 4, 6))


MAKERS: dict[str, tuple[Maker, int, tuple[int, ...]]] = {
    "ConvEncoder": (conv, 8, (2, 3)),
    "DenseNetEncoder": (lambda dims: DenseNetEncoder(dims, 2), 32, (2, 3)),
    "no final norm": (lambda dims: DenseNetEncoder(dims, 2, final_norm=False), 32, (2, 3)),
    "ResNet18Encoder": (lambda dims: ResNet18Encoder(dims, 2), 16, (2, 3)),
    "small images": (lambda dims: ResNet18Encoder(dims, 2, small_images=True), 16, (2,)),
    "AlexNet3D": (lambda _: AlexNet3D(2), 33, (3,)),
    "SimpleConvNet": (lambda _: SimpleConvNet(2, (3, 4)), 8, (2,)),
    "unit length": (lambda _: SimpleConvNet(2, (3, 4), unit_length=True), 8, (2,)),
    "EmbeddingEncoder": (lambda dims: EmbeddingEncoder(conv(dims), Projector(6, 5, 4)), 8, (2, 3)),
    "StandardizedEncoder": (lambda dims: StandardizedEncoder(conv(dims)), 8, (2, 3)),
    "by channel": (lambda dims: StandardizedEncoder(conv(dims), (0.4, 0.5), (2, 1)), 8, (2, 3)),
}
PARAMETERS: dict[str, tuple[Maker, int]] = {
    "ResNet-18": (lambda dims: ResNet18Encoder(dims), 33_160_000),
    "DenseNet121": (lambda dims: DenseNetEncoder(dims, final_norm=False), 11_240_576),
    "DenseNet121 of MONAI": (lambda dims: DenseNetEncoder(dims), 11_242_624),
    "AlexNet": (lambda _: AlexNet3D(), 2_553_728),
}


def images(dims: int, side: int, count: int = 2) -> Tensor:
    return torch.rand(count, 2, *[side] * dims, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "dims"), [(n, dims) for n, m in MAKERS.items() for dims in m[2]])
def test_an_encoder_gives_one_row_of_out_features_per_image(name: str, dims: int) -> None:
    make, side, _ = MAKERS[name]
    encoder = make(dims).eval()
    h = encoder(images(dims, side))
    assert h.shape == (2, encoder.out_features)
    assert torch.isfinite(h).all()


@pytest.mark.parametrize("name", MAKERS)
def test_in_evaluation_an_image_alone_equals_the_image_in_a_batch(name: str) -> None:
    make, side, dims = MAKERS[name]
    encoder, x = make(dims[0]).double().eval(), images(dims[0], side, count=3).double()
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


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_3d_encoder_has_the_published_number_of_parameters(name: str) -> None:
    make, count = PARAMETERS[name]
    assert sum(p.numel() for p in make(3).parameters()) == count


def test_without_the_final_norm_the_densenet_averages_its_last_block() -> None:
    encoder, x = DenseNetEncoder(2, 2, final_norm=False).double().eval(), images(2, 32).double()
    block: list[Tensor] = []
    encoder.network.features.denseblock4.register_forward_hook(lambda *seen: block.append(seen[2]))
    h = encoder(x)
    torch.testing.assert_close(h, block[0].mean(dim=(2, 3)), rtol=0, atol=1e-12)
    assert h.min() < 0


def test_small_images_keep_their_size_through_the_first_layers_of_resnet() -> None:
    shapes: list[torch.Size] = []
    for small in (True, False):
        network = ResNet18Encoder(2, 2, small_images=small).eval().network
        network.layer1.register_forward_pre_hook(lambda _, x: shapes.append(x[0].shape[2:]))
        network(images(2, 32))
    assert shapes == [(32, 32), (8, 8)]


@pytest.mark.parametrize("unit_length", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_simple_conv_net_is_relu_between_and_the_activation_last(
    activation: str, unit_length: bool
) -> None:
    net = SimpleConvNet(2, (3, 4, 5, 6), activation=activation, unit_length=unit_length)
    net, x = net.double().eval(), images(2, 9).double()
    parts = [p.detach() for p in net.parameters()]
    h = x
    for k in range(4):
        weight, bias, gamma, beta = parts[4 * k : 4 * k + 4]
        assert weight.shape[2:] == (7, 7)
        h = nn.functional.conv2d(h, weight, bias, padding=3)
        h = gamma[:, None, None] * h / (1 + 1e-5) ** 0.5 + beta[:, None, None]
        h = h.clamp(min=0) if k < 3 or activation == "relu" else h.tanh()
    h = h.mean(dim=(2, 3))
    expected = h / h.square().sum(dim=1, keepdim=True).sqrt() if unit_length else h
    torch.testing.assert_close(net(x), expected, rtol=0, atol=1e-12)


def test_strides_shrink_the_maps_of_the_simple_conv_net() -> None:
    net, shapes = SimpleConvNet(2, (3, 4), strides=(2, 1)).eval(), []
    net.layers[-1].register_forward_pre_hook(lambda _, x: shapes.append(x[0].shape[2:]))
    net(images(2, 9))
    assert shapes == [(5, 5)]


def test_the_embedding_is_the_projection_at_unit_length() -> None:
    encoder, projector = conv(2).eval(), Projector(6, 5, 4)
    embedding, x = EmbeddingEncoder(encoder, projector).eval(), images(2, 8)
    z = projector(encoder(x))
    assert embedding.out_features == 4
    torch.testing.assert_close(embedding(x), z / z.square().sum(dim=1, keepdim=True).sqrt())


def test_a_standardized_encoder_subtracts_the_mean_and_divides_by_the_deviation() -> None:
    encoder, x = conv(2).double().eval(), images(2, 8).double()
    by_channel = StandardizedEncoder(encoder, mean=(0.4, 0.5), std=(2, 1)).eval()
    moved = torch.stack([(x[:, 0] - 0.4) / 2, x[:, 1] - 0.5], dim=1)
    torch.testing.assert_close(by_channel(x), encoder(moved), rtol=0, atol=1e-7)
    for_all = StandardizedEncoder(encoder, mean=[0.5], std=[0.5]).eval()
    torch.testing.assert_close(for_all(x), encoder(2 * x - 1), rtol=0, atol=1e-12)


def test_without_numbers_every_image_is_standardized_by_its_own() -> None:
    encoder, x = conv(2).double().eval(), images(2, 8).double()
    own = torch.stack([(image - image.mean()) / image.var(correction=0).sqrt() for image in x])
    standardized = StandardizedEncoder(encoder).eval()
    torch.testing.assert_close(standardized(x), encoder(own), rtol=0, atol=1e-10)
    assert torch.equal(standardized(torch.ones_like(x)), encoder(torch.zeros_like(x)))
    table = StandardizedEncoder(Projector(3, 4, 2), mean=(1, 2, 3), std=(1, 2, 3)).eval()
    assert torch.equal(table(torch.tensor([[1.0, 2.0, 3.0]])), table.encoder(torch.zeros(1, 3)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResNet18Encoder(1), r"^ResNet18Encoder: spatial_dims must be 2 or 3, got 1\.$"),
        (
            lambda: SimpleConvNet(activation="elu"),
            r"activation must be 'tanh' or 'relu', got 'elu'",
        ),
        (
            lambda: SimpleConvNet(kernel_size=4),
            r"^SimpleConvNet: kernel_size must be odd, got 4\.$",
        ),
        (
            lambda: SimpleConvNet(strides=[2]),
            r"strides must have 4 numbers, .* got \[2\]",
        ),
        (lambda: Projector(3, layers=0), r"^Projector: layers must be at least 1, got 0\.$"),
        (
            lambda: StandardizedEncoder(conv(2), mean=[0.5]),
            r"as many numbers, got \[0\.5\] and None",
        ),
        (lambda: StandardizedEncoder(conv(2), [0.5], [0]), r"std must be positive, got \[0\]\.$"),
    ],
)
def test_a_wrong_setting_of_a_network_is_told_in_one_line(
    make: Callable[[], nn.Module], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_projector_has_as_many_linear_layers_as_it_is_told(layers: int) -> None:
    projector, x = Projector(4, 5, 3, layers).double(), torch.randn(6, 4, dtype=torch.double)
    linear = [layer for layer in projector.layers if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [5] * (layers - 1) + [3]
    h = x
    for layer in linear[:-1]:
        h = (h @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(projector(x), h @ linear[-1].weight.T + linear[-1].bias)


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
    make, side, dims = MAKERS[name]
    encoder = make(dims[0])
    classifier, x = ImageClassifier(encoder, encoder.out_features).eval(), images(dims[0], side)
    scripted = torch.jit.script(classifier)
    torch.testing.assert_close(scripted(x), classifier(x))


@pytest.mark.parametrize("name", MAKERS)
def test_gradients_reach_every_parameter_and_the_image(name: str) -> None:
    make, side, dims = MAKERS[name]
    encoder, x = make(dims[0]), images(dims[0], side).requires_grad_()
    encoder(x)[:, 0].square().sum().backward()  # of a unit vector the sum of squares is constant
    assert all(p.grad is not None for p in encoder.parameters())
    assert x.grad is not None
    assert x.grad.abs().max() > 0


def test_an_encoder_for_one_axis_is_refused() -> None:
    with pytest.raises(InputError, match=r"^ConvEncoder: spatial_dims must be 2 or 3, got 1\.$"):
        ConvEncoder(spatial_dims=1)


def test_alexnet_takes_the_maximum_over_positions() -> None:
    encoder, x = AlexNet3D(2).eval(), images(3, 51)
    maps: list[Tensor] = []
    encoder.layers[-1].register_forward_pre_hook(lambda _, seen: maps.append(seen[0]))
    h = encoder(x)
    assert maps[0].shape == (2, 128, 2, 2, 2)
    assert torch.equal(h, maps[0].flatten(2).max(dim=2).values)


def test_alexnet_refuses_images_that_its_pooling_would_consume() -> None:
    assert AlexNet3D().eval()(torch.zeros(1, 1, 33, 34, 33)).shape == (1, 128)
    with pytest.raises(InputError, match=r"^AlexNet3D: x must have at least 33 voxels a side, got"):
        AlexNet3D().eval()(torch.zeros(1, 1, 33, 32, 33))
