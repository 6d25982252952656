"""Encoders MONAI lacks, projection heads, and the deployable classifier.

- `ConvEncoder`: the fully convolutional encoder of the learned-transformations paper, 2D and 3D.
- `ResNet18Encoder`, `ResNet50Encoder`, `DenseNetEncoder`: MONAI's, without their last layer.
- `ConvNeXtEncoder`: ConvNeXt-Tiny, 2D and 3D.
- `VGGEncoder`: VGG-11, -13 or -16, 2D and 3D.
- `AlexNet3D`: the small 3D encoder of the brain-age papers.
- `TemplateEncoder`: a small one of brains on a template's grid, which keeps the places.
- `TableEncoder`: the perceptron of a table of features, which standardises its columns.
- `brain_encoder`: one of them by name, as the brain-age bundles choose it.
- `SimpleConvNet`: the small network of the Biased-MNIST experiments.
- `VariationalEncoder`: MONAI's variational autoencoder; the mean of its code as representation.
- `VisionTransformer`: ViT-Ti to ViT-L as DINO, MAE and RETFound have it; `load_vit_weights` reads
  their files.
- `DINOHead`: DINO's projection head, logits of prototypes.
- `Projector`: multi-layer perceptron ``h (B, F) -> z (B, D)``; also the encoder of a table.
- `IterNorm`: whitened columns, with which VIbCReg's projector ends.
- `CropEncoder`, `ChannelEncoder`: of one crop, and of an image as the average of its crops.
- `EmbeddingEncoder`: an encoder and its projector, at unit length, as the representation.
- `StandardizedEncoder`: an encoder of normalised images.
- `load_pretrained`: public weights (torchvision, y-aware, AnatCL) into a classifier's encoder.
- `ImageClassifier`: encoder + linear head, exactly what ``models/model.pt`` holds.
- `encode_in_chunks`, `EncoderAndHead`, `set_cache_chunk`: passes that keep no activations.
- `require_finite`: weights are numbers, or refused.
"""

from common.networks.alexnet3d import AlexNet3D
from common.networks.brain_encoder import TableEncoder, brain_encoder
from common.networks.chunks import EncoderAndHead, encode_in_chunks, set_cache_chunk
from common.networks.classifier import ImageClassifier
from common.networks.conv_encoder import ConvEncoder
from common.networks.convnext_encoder import ConvNeXtEncoder
from common.networks.crop_encoder import ChannelEncoder, CropEncoder
from common.networks.densenet_encoder import DenseNetEncoder
from common.networks.dino_head import DINOHead
from common.networks.embedding_encoder import EmbeddingEncoder
from common.networks.finite import require_finite
from common.networks.iter_norm import IterNorm
from common.networks.pretrained import load_pretrained
from common.networks.projector import Projector, width_of
from common.networks.prototypes import Prototypes
from common.networks.resnet_encoder import ResNet18Encoder, ResNet50Encoder
from common.networks.simple_conv_net import SimpleConvNet
from common.networks.standardized_encoder import StandardizedEncoder
from common.networks.template_encoder import TemplateEncoder
from common.networks.variational_encoder import VariationalEncoder
from common.networks.vgg_encoder import VGGEncoder
from common.networks.vision_transformer import VisionTransformer
from common.networks.vit_weights import load_vit_weights

__all__ = [
    "AlexNet3D",
    "ChannelEncoder",
    "ConvEncoder",
    "ConvNeXtEncoder",
    "CropEncoder",
    "DINOHead",
    "DenseNetEncoder",
    "EmbeddingEncoder",
    "EncoderAndHead",
    "ImageClassifier",
    "IterNorm",
    "Projector",
    "Prototypes",
    "ResNet18Encoder",
    "ResNet50Encoder",
    "SimpleConvNet",
    "StandardizedEncoder",
    "TableEncoder",
    "TemplateEncoder",
    "VGGEncoder",
    "VariationalEncoder",
    "VisionTransformer",
    "brain_encoder",
    "encode_in_chunks",
    "load_pretrained",
    "load_vit_weights",
    "require_finite",
    "set_cache_chunk",
    "width_of",
]
