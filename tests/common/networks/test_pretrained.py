"""Public weights by their documented names and shapes: converted whole, or refused."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.networks import (
    AlexNet3D,
    ChannelEncoder,
    CropEncoder,
    DenseNetEncoder,
    EmbeddingEncoder,
    ImageClassifier,
    Projector,
    ResNet18Encoder,
    ResNet50Encoder,
    StandardizedEncoder,
    load_pretrained,
)
from common.policies import CropChannel
from common.transforms import CropGrid

State = dict[str, Tensor]


def changed(network: nn.Module) -> State:
    """Its tensors, all different from those it began with."""
    return {name: value + 1 for name, value in network.state_dict().items()}


def torchvision_resnet(state: State) -> State:
    named = {name.removeprefix("network."): v for name, v in state.items()}
    return {**named, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def torchvision_densenet(state: State) -> State:
    named = {n.removeprefix("network.").replace(".layers.", "."): v for n, v in state.items()}
    heads = {"classifier.weight": torch.zeros(1000, 1024), "classifier.bias": torch.zeros(1000)}
    return {**named, **heads}


def densenet_of_before_2018(state: State) -> Any:
    named = torchvision_densenet(state).items()
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", n): v for n, v in named}
    return {n: v for n, v in old.items() if "num_batches" not in n}


def y_aware(state: State) -> Any:
    named = {k: v for k, v in torchvision_densenet(state).items() if "classifier" not in k}
    heads = {"hidden_representation.weight": torch.zeros(512, 1024)}
    return {"model": {f"module.{k}": v for k, v in {**named, **heads}.items()}, "epoch": 49}


def anatcl(state: State) -> Any:
    named = {f"encoder.{k.removeprefix('network.')}": v for k, v in state.items()}
    return {"model": {**named, "head.0.weight": torch.zeros(512, 512)}}


def barbano_alexnet(state: State) -> Any:
    named = {k.replace("layers.", "encoder.features."): v for k, v in state.items()}
    return {"model": {**named, "head.0.weight": torch.zeros(128, 128)}}


FILES: dict[str, tuple[Callable[[], nn.Module], Callable[[State], Any]]] = {
    "torchvision ResNet-18": (lambda: ResNet18Encoder(2, 3), torchvision_resnet),
    "torchvision ResNet-50": (ResNet50Encoder, torchvision_resnet),
    "torchvision DenseNet121": (lambda: DenseNetEncoder(2, 3), torchvision_densenet),
    "old DenseNet121": (lambda: DenseNetEncoder(2, 3), densenet_of_before_2018),
    "y-aware DenseNet121": (lambda: DenseNetEncoder(3, final_norm=False), y_aware),
    "AnatCL ResNet-18": (lambda: ResNet18Encoder(3), anatcl),
    "brain-age AlexNet": (AlexNet3D, barbano_alexnet),
}


@pytest.mark.parametrize("name", FILES)
def test_a_public_file_is_read_whole(name: str, tmp_path: Path) -> None:
    make, published = FILES[name]
    encoder = make()
    expected = changed(encoder)
    torch.save(published(expected), tmp_path / "w.pth")
    network = ImageClassifier(encoder, 4)
    head = network.head.weight.clone()
    assert load_pretrained(network, tmp_path / "w.pth") is network
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, expected[key]) or (name[:3] == "old" and "num_batches" in key)
    assert torch.equal(network.head.weight, head)


def test_a_grey_image_goes_through_colour_weights_as_its_copy_in_three_channels(
    tmp_path: Path,
) -> None:
    colour, grey = ResNet18Encoder(2, 3).eval(), ResNet18Encoder(2, 1).eval()
    torch.save(torchvision_resnet(dict(colour.state_dict())), tmp_path / "w.pth")
    load_pretrained(ImageClassifier(grey, 512), tmp_path / "w.pth")
    x = torch.rand(2, 1, 40, 40)
    torch.testing.assert_close(grey(x), colour(x.expand(-1, 3, -1, -1)))


def test_the_model_of_any_bundle_is_read_by_its_own_names(tmp_path: Path) -> None:
    def networks() -> list[ImageClassifier]:
        grid = CropGrid(16, 8, 4)
        crops = ChannelEncoder(
            CropEncoder(8, channels=(3,), features=5), Projector(5, 5, 4), CropChannel(grid)
        )
        small = StandardizedEncoder(CropEncoder(8, channels=(3,), features=5), [0.5], [0.2])
        embedding = EmbeddingEncoder(CropEncoder(8, channels=(3,), features=5), Projector(5, 5, 4))
        return [ImageClassifier(crops, 5), ImageClassifier(small, 5), ImageClassifier(embedding, 4)]

    for trained, fresh in zip(networks(), networks()):
        torch.save(trained.state_dict(), tmp_path / "model.pt")
        load_pretrained(fresh, tmp_path / "model.pt")
        loaded = fresh.encoder.state_dict()
        assert all(torch.equal(loaded[n], v) for n, v in trained.encoder.state_dict().items())


@pytest.mark.bad_input("models")
def test_what_is_not_of_this_encoder_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    encoder = ResNet18Encoder(2, 1)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    whole = torchvision_resnet(changed(encoder))
    lacking = {name: value for name, value in whole.items() if name != "layer3.0.conv1.weight"}
    cases = [
        (lacking, r"lacks 1 \(network\.layer3"),
        ({**whole, "layer9.weight": torch.zeros(2)}, r"adds 1 \(network\.layer9"),
        ({**whole, "conv1.weight": torch.zeros(64, 4, 7, 7)}, "differs in shape 1"),
        ({**whole, "bn1.weight": torch.full((64,), torch.nan)}, "finite"),
        (torchvision_densenet(changed(DenseNetEncoder(2, 1))), "or choose the encoder"),
    ]
    for state, rule in cases:
        torch.save(state, path)
        with pytest.raises(InputError, match=rule):
            load_pretrained(ImageClassifier(encoder, 512), path)
    after = encoder.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
