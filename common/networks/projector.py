"""SimCLR's projection head (Chen et al. 2020, section 4.2): a two-layer perceptron."""

from torch import Tensor, nn

__all__ = ["Projector"]


class Projector(nn.Module):
    """``h (B, in_features) -> z (B, out_features)``: linear, ReLU, linear.

    Args:
        in_features: width of the representation.
        hidden_features: width of the hidden layer.
        out_features: width of the projection the loss reads.
    """

    def __init__(
        self, in_features: int, hidden_features: int = 256, out_features: int = 128
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(in_features, hidden_features),
            nn.ReLU(),
            nn.Linear(hidden_features, out_features),
        )

    def forward(self, h: Tensor) -> Tensor:
        """Return ``z (B, out_features)``; not normalised, the losses do that."""
        out: Tensor = self.layers(h)
        return out
