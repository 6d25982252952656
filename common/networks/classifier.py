"""What is deployed: an encoder and one linear layer, ``x (B, C, *spatial) -> (B, classes)``."""

from torch import Tensor, nn

__all__ = ["ImageClassifier"]


class ImageClassifier(nn.Module):
    """An encoder and the linear layer p of the papers; exactly what ``models/model.pt`` holds.

    Args:
        encoder: ``x (B, C, *spatial) -> h (B, in_features)``.
        in_features: width of h.
        num_classes: number of outputs; each is the logit of one class being present, so one output
            serves a binary task and several serve multi-label tasks.

    Shapes: ``forward(x) -> (B, num_classes)`` logits; ``encode(x) -> h (B, in_features)``.
    """

    def __init__(self, encoder: nn.Module, in_features: int, num_classes: int = 1) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(in_features, num_classes)

    def encode(self, x: Tensor) -> Tensor:
        """Return the representation ``h (B, in_features)``, before the head."""
        h: Tensor = self.encoder(x)
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, num_classes)``."""
        logits: Tensor = self.head(self.encoder(x))
        return logits
