"""The encoders of the brain-age papers by name, so that one dial chooses among them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from common.checks import require
from common.networks.alexnet3d import AlexNet3D
from common.networks.densenet_encoder import DenseNetEncoder
from common.networks.projector import Projector
from common.networks.resnet_encoder import ResNet18Encoder
from common.networks.template_encoder import TemplateEncoder

__all__ = ["ENCODERS", "TableEncoder", "brain_encoder"]

ENCODERS = ("resnet18", "densenet121", "alexnet", "template", "mlp")


class TableEncoder(nn.Module):
    """A multi-layer perceptron on the columns of a table, each standardised by a batch norm.

    The running mean and variance of the columns are part of the weights. Noise on the standardised
    columns is the augmentation of a table. Ours: the papers' tables are read by linear models only.

    Args:
        in_features: columns F.
        out_features: width of the three layers.
        noise: standard deviation of the noise in training, in standard deviations of a column.
        dropout: share of each layer's outputs that is dropped in training.

    Shapes: ``x (B, F) -> h (B, out_features)``.
    """

    def __init__(
        self, in_features: int, out_features: int = 512, noise: float = 0.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        require(
            in_features > 0,
            f"TableEncoder: in_features must be positive, got {in_features}. Prepare a table with "
            "data_prep table, or choose an encoder of images.",
        )
        require(noise >= 0, f"TableEncoder: noise must not be negative, got {noise}.")
        require(0 <= dropout < 1, f"TableEncoder: dropout must be in [0, 1), got {dropout}.")
        self.noise = noise
        self.dropout = dropout
        self.in_features = in_features
        self.out_features = out_features
        self.norm = nn.BatchNorm1d(in_features, affine=False)
        self.layers = Projector(in_features, out_features, out_features, layers=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features ``h (B, out_features)`` of ``x (B, F)``."""
        require(
            x.shape[1:] == (self.in_features,),
            f"TableEncoder: x must be rows of {self.in_features} features, got shape "
            f"{tuple(x.shape)}. Give a table with the columns of the training.",
        )
        h: Tensor = self.norm(x)
        if self.training and self.noise > 0:
            h = h + self.noise * torch.randn_like(h)
        for layer in self.layers.layers:
            h = layer(h)
            if isinstance(layer, nn.ReLU):
                h = dropout(h, self.dropout, self.training)
        return dropout(torch.relu(h), self.dropout, self.training)


def brain_encoder(
    name: str, in_features: int = 0, noise: float = 0.0, dropout: float = 0.0
) -> nn.Module:
    """Return an untrained encoder with ``out_features``.

    Args:
        name: of Barbano et al. (ISBI 2023), for volumes ``(B, C, X, Y, Z)``: "resnet18" (512
            features), "densenet121" (1024, without the last normalisation), "alexnet" (128);
            "template" (128, ours) for volumes on a template's grid;
            "mlp" for rows of features ``(B, F)`` (512).
        in_features: F of a table, or channels C of volumes, of which 0 means 1.
        noise: see `TableEncoder`, for "mlp" only.
        dropout: see `TableEncoder` and `TemplateEncoder`, for "mlp" and "template" only.

    >>> brain_encoder("mlp", 284).out_features
    512
    """
    require(name in ENCODERS, f"brain_encoder: name must be {', '.join(ENCODERS)}, got {name!r}.")
    channels = max(1, in_features)
    made: dict[str, Any] = {
        "resnet18": lambda: ResNet18Encoder(3, in_channels=channels),
        "densenet121": lambda: DenseNetEncoder(3, in_channels=channels, final_norm=False),
        "alexnet": lambda: AlexNet3D(in_channels=channels),
        "template": lambda: TemplateEncoder(channels, dropout=dropout),
        "mlp": lambda: TableEncoder(in_features, noise=noise, dropout=dropout),
    }
    encoder: nn.Module = made[name]()
    return encoder
