"""Encoders MONAI lacks, projection heads, and the deployable classifier.

- `ConvEncoder`: the fully convolutional encoder of the learned-transformations paper, 2D and 3D.
- `DenseNetEncoder`: MONAI's DenseNet121 without its classification layer.
- `Projector`: SimCLR's multi-layer perceptron ``h (B, F) -> z (B, D)``.
- `ImageClassifier`: encoder + linear head, exactly what ``models/model.pt`` holds.
"""

from common.networks.classifier import ImageClassifier
from common.networks.conv_encoder import ConvEncoder
from common.networks.densenet_encoder import DenseNetEncoder
from common.networks.projector import Projector

__all__ = ["ConvEncoder", "DenseNetEncoder", "ImageClassifier", "Projector"]
