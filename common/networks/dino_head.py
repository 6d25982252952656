"""DINO's projection head (Caron et al., ICCV 2021, section 3.1 and appendix C).

A perceptron with GELU, a bottleneck brought to unit length, and a linear layer without bias whose
rows are directions: the outputs are cosines with K prototypes (facebookresearch/dino, ``DINOHead``,
whose names of parameters are kept).

Differs from the released code: nothing known; batch normalisation in the perceptron, off by default
there, is left out.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from common.checks import require
from common.networks.unit_length import unit_length

__all__ = ["DINOHead"]


class Prototypes(nn.Module):
    """``x @ (g v / |v|)^T``: a linear layer without bias, of rows v of length g."""

    def __init__(self, in_features: int, out_features: int, learn_lengths: bool) -> None:
        super().__init__()
        lengths = torch.ones(out_features, 1)
        self.weight_g = nn.Parameter(lengths, requires_grad=learn_lengths)
        self.weight_v = nn.Parameter(torch.empty(out_features, in_features))
        nn.init.kaiming_uniform_(self.weight_v, a=5**0.5)  # a linear layer's own

    def forward(self, x: Tensor, frozen: bool = False) -> Tensor:
        """Return ``(B, out_features)``; no gradient reaches the weights where `frozen`."""
        length = torch.linalg.vector_norm(self.weight_v, dim=1, keepdim=True).clamp_min(1e-12)
        weight = self.weight_v * (self.weight_g / length)
        return nn.functional.linear(x, weight.detach() if frozen else weight)


class DINOHead(nn.Module):
    """``h (B, in_features) -> z (B, out_features)``, the logits of DINO's prototypes.

    Args:
        in_features: width of the representation.
        out_features: K, number of prototypes.
        hidden_features: width of the hidden layers.
        bottleneck_features: width of the bottleneck.
        layers: linear layers up to the bottleneck, at least 1.
        norm_last_layer: keep the length of every prototype at 1; False lets them learn, which DINO
            found better for ViT-S but less stable.

    Attributes:
        frozen: True lets no gradient reach the prototypes, as DINO does in the first epoch
            (`common.engines.StepSchedule` can set it).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int = 65536,
        hidden_features: int = 2048,
        bottleneck_features: int = 256,
        layers: int = 3,
        norm_last_layer: bool = True,
    ) -> None:
        super().__init__()
        require(layers >= 1, f"DINOHead: layers must be at least 1, got {layers}.")
        self.in_features = in_features
        self.out_features = out_features
        self.frozen = False
        widths = [in_features, *[hidden_features] * (layers - 1), bottleneck_features]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            linear = nn.Linear(before, after)
            nn.init.trunc_normal_(linear.weight, std=0.02)
            nn.init.zeros_(linear.bias)
            steps += [linear, nn.GELU()]
        self.mlp = nn.Sequential(*steps[:-1])
        self.last_layer = Prototypes(bottleneck_features, out_features, not norm_last_layer)

    def forward(self, h: Tensor) -> Tensor:
        """Return the logits ``z (B, out_features)``, cosines where the lengths are 1."""
        unit = unit_length(self.mlp(h))
        z: Tensor = self.last_layer(unit, self.frozen)
        return z
