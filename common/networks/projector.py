"""A multi-layer perceptron: SimCLR's projection head (Chen et al. 2020, section 4.2).

Two linear layers unless told otherwise. ``Projector(512, 512, 128)`` is the "512-512-128" head of
the brain-age code (Barbano et al., ISBI 2023): it names the three widths of two linear layers. A
table of features needs no other encoder than this.
"""

from itertools import pairwise

from torch import Tensor, nn

from common.checks import InputError, require

__all__ = ["Projector", "width_of"]


class Projector(nn.Module):
    """``h (B, in_features) -> z (B, out_features)``: linear layers with ReLU between them.

    Args:
        in_features: width of the representation, or the number of columns of a table.
        hidden_features: width of the hidden layers; None for that of the representation.
        out_features: width of the projection the loss reads.
        layers: number of linear layers, at least 1; 2 is SimCLR's head.
        norm: "BATCH" for batch normalisation after each linear layer but the last, as in BYOL's
            projector and predictor (Grill et al. 2020, section 3.3); None for none.
        leading_activation: a ReLU before the first layer too, for a representation that is the
            output of a linear layer.
        end: what follows the last layer, such as VIbCReg's `IterNorm` or SimSiam's
            ``torch.nn.BatchNorm1d(out_features, affine=False)``; None for nothing.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int | None = 256,
        out_features: int = 128,
        layers: int = 2,
        norm: str | None = None,
        leading_activation: bool = False,
        end: nn.Module | None = None,
    ) -> None:
        super().__init__()
        require(layers >= 1, f"Projector: layers must be at least 1, got {layers}.")
        require(norm in (None, "BATCH"), f'Projector: norm must be "BATCH" or None, got {norm!r}.')
        self.out_features = out_features
        hidden = in_features if hidden_features is None else hidden_features
        widths = [in_features, *[hidden] * (layers - 1), out_features]
        steps: list[nn.Module] = [nn.ReLU()] if leading_activation else []
        for before, after in pairwise(widths):
            steps.append(nn.Linear(before, after))
            if norm is not None:
                steps.append(nn.BatchNorm1d(after))
            steps.append(nn.ReLU())
        steps = steps[: -1 if norm is None else -2]
        self.layers = nn.Sequential(*steps, *([] if end is None else [end]))

    def forward(self, h: Tensor) -> Tensor:
        """Return ``z (B, out_features)``; not normalised, the losses do that."""
        out: Tensor = self.layers(h)
        return out


def width_of(name: str, projector: nn.Module) -> int:
    """Return the width of what a projector gives, from its attribute ``out_features``.

    Args:
        name: who asks, for the message.
        projector: ``h -> z``.

    Raises:
        InputError: it has no such attribute.
    """
    width = getattr(projector, "out_features", None)
    if not isinstance(width, int):
        raise InputError(
            f"{name}: projector must have out_features, got {type(projector).__name__}. Use "
            "common.networks.Projector."
        )
    return width
