"""The projection as representation: what the brain-age papers probe.

Barbano et al. (ISBI 2023) fit their ridge and logistic regressions on the normalised projection
that the contrastive loss was trained on, not on the encoder's output.
"""

from torch import Tensor, nn

from common.networks.unit_length import unit_length

__all__ = ["EmbeddingEncoder"]


class EmbeddingEncoder(nn.Module):
    """An encoder followed by its projection head, at unit length: ``x -> z / |z| (B, D)``.

    Put it into an `ImageClassifier` and the embedding is what a probe reads, the linear head
    predicts from, and ``models/model.pt`` holds. The contrastive method then needs no projector of
    its own.

    Args:
        encoder: ``x -> h (B, F)``.
        projector: ``h (B, F) -> z (B, D)``, with an attribute ``out_features`` (`Projector`,
            ``nn.Linear``); None for the encoder's own features.
        unit_length: divide each row by its length; without it a cross entropy learns from features
            of any length.

    Shapes: ``x (B, C, *spatial) -> (B, D)``.
    """

    def __init__(
        self, encoder: nn.Module, projector: nn.Module | None = None, unit_length: bool = True
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = nn.Identity() if projector is None else projector
        self.unit_length = unit_length
        last = encoder if projector is None else projector
        self.out_features: int = last.out_features  # type: ignore[assignment]  # nn.Module

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows ``(B, D)``, of unit length or not, of ``x (B, C, *spatial)``."""
        z: Tensor = self.projector(self.encoder(x))
        return unit_length(z) if self.unit_length else z
