"""Whether a view shows anything to a person, and whether it is dark where it does not.

A pixel stands out where it differs from the view's commonest grey value (its median) by `SEEN` in
any channel. A view shows nothing where less than `LEFT` as much stands out as in its image, such as
the faint rim that a soft window leaves of a dark border, or less than `LEAST` of all pixels.
"""

import torch
from torch import Tensor

from common.audit.features import every_nth

__all__ = ["LEAST", "dark_and_flat", "standing_out"]

SEEN = 16 / 255  # of the range of grey values: what a person sees side by side on a screen
LEFT = 0.02  # of what stands out in the image; looked up in views of brains
LEAST = 0.001  # of all pixels


def standing_out(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the share of pixels that stand out, and the brightest channel's median.

    Args:
        x: ``(B, C, *spatial)``, images or views on the scale of the images, [0, 1].

    Returns:
        Both ``(B,)``. Of large images every n-th pixel is looked at.
    """
    flat = every_nth(x).float().flatten(2)
    middle = flat.median(dim=2, keepdim=True).values
    share = ((flat - middle).abs() >= SEEN).any(dim=1).float().mean(dim=1)
    return share, middle.amax(dim=1)[:, 0]


def dark_and_flat(image: Tensor, view: Tensor) -> Tensor:
    """Return which views are black, and which show one other value: ``(2, B)`` bool.

    Args:
        image: ``(B, C, *spatial)``.
        view: of each of them, ``(B, C, *spatial')``, on the same scale.
    """
    share, middle = standing_out(view)
    nothing = share < (LEFT * standing_out(image)[0]).clamp(min=LEAST)
    return torch.stack([nothing & (middle < SEEN), nothing & (middle >= SEEN)])
