"""What is deployed: an encoder and one linear layer, ``x (B, C, *spatial) -> (B, classes)``."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from common.checks import require
from common.networks.chunks import encode_in_chunks
from common.networks.normalisation import normalised

__all__ = ["ImageClassifier"]


class ImageClassifier(nn.Module):
    """An encoder and the linear layer p of the papers; exactly what ``models/model.pt`` holds.

    Args:
        encoder: ``x (B, C, *spatial) -> h (B, in_features)``.
        in_features: width of h.
        num_classes: number of outputs; each is the logit of one class being present, so one output
            serves a binary task and several serve multi-label tasks.
        norm: of the encoder: "batch" as it is, "group" in place of every batch normalisation.

    Weights are loaded whole or not at all, whoever loads them: see `load_state_dict`.

    Shapes: ``forward(x) -> (B, num_classes)`` logits; ``encode(x) -> h (B, in_features)``.
    """

    cache_chunk = 0  # images of a part of `encode`, see `common.networks.chunks`

    def __init__(
        self, encoder: nn.Module, in_features: int, num_classes: int = 1, norm: str = "batch"
    ) -> None:
        super().__init__()
        self.encoder = normalised(encoder, norm)
        self.head = nn.Linear(in_features, num_classes)

    def encode(self, x: Tensor) -> Tensor:
        """Return the representation ``h (B, in_features)``, before the head."""
        return encode_in_chunks(self.encoder, x, self.cache_chunk)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load every tensor, also for a program that would be content with some.

        MONAI Label loads with ``strict=False``, and `monai.bundle.load` fills what does not fit
        with the tensors that the network began with: both would serve a network of which most is
        random.

        Raises:
            InputError: tensors are missing, are others, have other shapes, or some are this
                network's own.
        """
        own = self.state_dict()
        pairs = [(state_dict[name], value) for name, value in own.items() if name in state_dict]
        fits = [(new, old) for new, old in pairs if new.shape == old.shape]
        kept = [new for new, old in fits if new.numel() and new.data_ptr() == old.data_ptr()]
        loaded = len(fits) - (len(kept) if len(kept) < len(own) else 0)
        require(
            loaded == len(own) and set(state_dict) <= set(own),
            f"ImageClassifier: weights must be those of this network's {len(own)} tensors, got "
            f"{loaded} of them. Build it with the settings it was trained with: those of "
            "inference.json and model.json (monai.bundle.load: workflow_type='inference').",
        )
        return super().load_state_dict(state_dict, strict=True, assign=assign)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits ``(B, num_classes)``."""
        logits: Tensor = self.head(self.encoder(x))
        return logits
