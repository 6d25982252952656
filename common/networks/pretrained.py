"""Public weights of the encoders of this collection: every tensor of the encoder, or none.

===================================  ==========================================================
file                                 names in it
===================================  ==========================================================
torchvision's ResNet-18, ResNet-50   ``conv1.``, ``bn1.``, ``layer1.0.conv1.`` ...; ``fc.``
torchvision's DenseNet121            ``features.denseblock1.denselayer1.norm1.`` (``norm.1.`` in
                                     the files of before 2018); ``classifier.``
y-aware (Dufumier et al. 2021),      ``features.`` as torchvision, without ``norm5``;
DenseNet121 3D                       ``hidden_representation.``, ``head_projection.``
AnatCL and the brain-age encoders    ``{"model": ...}`` with ``encoder.`` and ``head.`` or ``fc.``:
of Barbano et al., 3D                ResNet-18, DenseNet121 without ``norm5``, AlexNet
vision transformers                  see `common.networks.load_vit_weights`
``model.pt`` of this project         the encoder's own, of any encoder
===================================  ==========================================================

What follows the encoder in a file (a head, a classifier) is set aside. A first convolution of three
channels is read into one of a single channel by its *sum* over the channels: the encoder then does
with a grey image what it did with the same image in red, green and blue. torchvision's networks
were trained on images less the ImageNet mean; here an encoder sees what its bundle gives it.

Differs from y-aware's code, which puts a ReLU between the last block and the average: the brain
encoder here has none, as in Barbano et al. The weights are the same.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from common.networks.alexnet3d import AlexNet3D
from common.networks.classifier import ImageClassifier
from common.networks.densenet_encoder import DenseNetEncoder
from common.networks.embedding_encoder import EmbeddingEncoder
from common.networks.resnet_encoder import ResNet18Encoder, ResNet50Encoder
from common.networks.standardized_encoder import StandardizedEncoder
from common.networks.vision_transformer import VisionTransformer
from common.networks.vit_weights import load_vit_weights, load_whole, read_weight_file

__all__ = ["load_pretrained"]

PREFIXES = ("module.", "backbone.", "encoder.")
HEADS = ("fc.", "classifier.", "head.", "hidden_representation.", "head_projection.")
COUNTER = "num_batches_tracked"  # files of before torch 0.4 have none
CURE = "Give the weights of this encoder, or choose the encoder that they are of."


def load_pretrained(classifier: ImageClassifier, path: str | Path = "") -> ImageClassifier:
    """Load public weights into the encoder of a classifier, in place; its head stays as it is.

    Args:
        classifier: the network; of an encoder of standardised images, or one with its projector,
            public files have the inner encoder, and files of this project have all.
        path: the file; "" loads nothing.

    Returns:
        `classifier`, so that a configuration can name the two as one network.

    Raises:
        InputError: for a file that cannot be read, or that does not fit; it names the first names
            that are missing, unexpected, or of another shape.
    """
    if not str(path):
        return classifier
    *_, inner = encoders = list(_encoders(classifier))
    if isinstance(inner, VisionTransformer):
        load_vit_weights(inner, path)
        return classifier
    state = read_weight_file(Path(path))
    ways = [(one, _named(names, state, one)) for names in _stripped(state) for one in encoders]
    encoder, tensors = min(ways, key=lambda way: len(way[0].state_dict().keys() ^ way[1].keys()))
    wanted = encoder.state_dict()
    tensors |= {n: v for n, v in wanted.items() if n.endswith(COUNTER) and n not in tensors}
    tensors = {name: _grey(value, wanted.get(name)) for name, value in tensors.items()}
    load_whole(encoder, tensors, path, CURE)
    return classifier


def _encoders(classifier: ImageClassifier) -> Iterator[nn.Module]:
    """Yield the encoder, and the one inside it that public weights may be of."""
    encoder = classifier.encoder
    yield encoder
    while isinstance(encoder, StandardizedEncoder | EmbeddingEncoder):
        encoder = encoder.encoder
        yield encoder


def _stripped(state: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Yield {name as stored: name}, with one prefix more taken off each time."""
    names = {name: name for name in state}
    while True:
        yield names
        prefix = next((p for p in PREFIXES if any(n.startswith(p) for n in names.values())), "")
        if not prefix:
            return
        names = {stored: name.removeprefix(prefix) for stored, name in names.items()}


def _named(
    names: Mapping[str, str], state: Mapping[str, Any], encoder: nn.Module
) -> dict[str, Any]:
    """Return the tensors by the encoder's names, those of heads set aside."""
    rename = next((call for kind, call in RENAMED.items() if isinstance(encoder, kind)), str)
    own = set(encoder.state_dict())
    tensors = {}
    for stored, name in names.items():
        renamed = name if name in own else rename(name)
        if renamed in own or not name.startswith(HEADS):
            tensors[renamed] = state[stored]
    return tensors


def _resnet(name: str) -> str:
    return f"network.{name}"


def _densenet(name: str) -> str:
    name = re.sub(r"(denselayer\d+\.)(norm|conv)\.?([12]\.)", r"\1layers.\2\3", name)
    return f"network.{name}"


def _alexnet(name: str) -> str:
    return re.sub(r"^features\.", "layers.", name)


RENAMED: dict[Any, Callable[[str], str]] = {
    (ResNet18Encoder, ResNet50Encoder): _resnet,
    DenseNetEncoder: _densenet,
    AlexNet3D: _alexnet,
}


def _grey(value: Any, wanted: Tensor | None) -> Any:
    """The weights of a first convolution of red, green and blue for one grey channel."""
    if wanted is None or not isinstance(value, Tensor) or value.dim() < 4:
        return value
    colour = value.shape[1] == 3 and wanted.shape[1] == 1
    fits = value.shape[:1] + value.shape[2:] == wanted.shape[:1] + wanted.shape[2:]
    return value.sum(dim=1, keepdim=True) if colour and fits else value
