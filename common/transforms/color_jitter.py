"""Random brightness, contrast, saturation and hue, in a random order, as in torchvision."""

import itertools

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.grey import luma, require_rgb

__all__ = ["color_jitter"]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
ORDERS = tuple(itertools.permutations(range(4)))  # orders of the four changes


@transformation(
    size=5,
    moves_pixels=False,
    ends=(
        "darker, paler, greyer, hue −{hue:g} turns",
        "brighter, stronger, more colourful, hue {hue:g} turns",
    ),
)
def color_jitter(
    x: Tensor,
    lam: Tensor,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> Tensor:
    """Change brightness, contrast, saturation and hue, in the order that `lam` picks.

    The first four columns are the four changes, 0.5 changes nothing. A factor
    ``1 + strength (2 lam - 1)`` scales the pixels (brightness), their distance to the mean grey of
    the image (contrast) and to their own grey (saturation); the hue of HSV turns by
    ``hue (2 lam - 1)`` full turns. Values are kept in [0, 1] after each step. The fifth column
    picks one of the 24 orders.

    Differs from torchvision's `ColorJitter`: nothing but rounding. There, on pictures of 8 bits,
    values are rounded after each step, the mean grey too, and the hue to a 255th of a turn.

    Args:
        x: RGB images ``(B, 3, H, W)`` in [0, 1].
        lam: ``(B, 5)`` in [0, 1].
        brightness: greatest change of the factor, in [0, 1].
        contrast: likewise.
        saturation: likewise.
        hue: greatest turn, in [0, 0.5].

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and the first four columns
        almost everywhere.
    """
    lam = checked_parameters("color_jitter", x, lam, size=5)
    require_rgb("color_jitter", x)
    require(
        max(brightness, contrast, saturation) <= 1
        and 0 <= hue <= 0.5
        and min(brightness, contrast, saturation) >= 0,
        "color_jitter: brightness, contrast and saturation must lie in [0, 1] and hue in [0, 0.5], "
        f"got {brightness}, {contrast}, {saturation} and {hue}.",
    )
    strength = lam.new_tensor([brightness, contrast, saturation, hue])
    change = strength * (2 * lam[:, :4] - 1)
    number = (lam[:, 4] * len(ORDERS)).long().clamp(0, len(ORDERS) - 1)
    order = torch.tensor(ORDERS, device=lam.device)[number]  # (B, 4)
    pixels = x.to(lam.dtype).flatten(2)
    with torch.autocast(x.device.type, enabled=False):
        scales, mix = _scales(change, order), _mix(6 * change[:, HUE])
        alike = [(order[:, step] == HUE).nonzero()[:, 0] for step in range(4)]
        parts = [
            _changed(pixels.index_select(0, rows), scales[:, :, rows], mix[rows], step)
            for step, rows in enumerate(alike)
            if len(rows)
        ]
    back = torch.cat(alike).argsort()
    return torch.cat(parts).index_select(0, back).reshape(x.shape).to(x.dtype)


def _changed(x: Tensor, scales: Tensor, mix: Tensor, hue_step: int) -> Tensor:
    """Make the four changes of ``x (B, 3, N)``; the hue is the one at `hue_step` in all images."""
    for step, (share, own, mean) in enumerate(scales.unbind(0)):
        x = _turned(x, mix) if step == hue_step else _scaled(x, share, own, mean)
    return x


def _scales(change: Tensor, order: Tensor) -> Tensor:
    """Return the three weights of `_scaled` for each step and image, ``(4, 3, B, 1, 1)``."""
    rest = -change.gather(1, order).T
    order = order.T
    weights = [1 - rest, rest * (order == SATURATION), rest * (order == CONTRAST)]
    return torch.stack(weights, dim=1)[..., None, None]


def _scaled(x: Tensor, share: Tensor, own: Tensor, mean: Tensor) -> Tensor:
    """Return a share of each pixel, of its own grey, and of the mean grey of the image.

    Args:
        x: ``(B, 3, N)``.
        share: ``(B, 1, 1)``, the factor; the rest to 1 is that of
        own: in the saturation, and of
        mean: in the contrast; in the brightness both are 0.
    """
    grey = luma(x)
    rest = torch.addcmul(mean * grey.mean(dim=2, keepdim=True), grey, own)
    if x.requires_grad or share.requires_grad:
        return torch.addcmul(rest, x, share).clamp_(0, 1)
    return x.mul_(share).add_(rest).clamp_(0, 1)  # x is a copy: no memory to find


def _mix(sextants: Tensor) -> Tensor:
    """Return the matrix and, in a fourth column, the weight of V + m in `_turned`, ``(B, 3, 4)``.

    Args:
        sextants: the turn ``(B,)`` in sixths of the circle, in [-3, 3].
    """
    whole = (sextants / 2).round()
    rest = (sextants - 2 * whole)[:, None, None]
    eye = torch.eye(3, device=rest.device, dtype=rest.dtype)
    before, after = eye.roll(-1, dims=1), eye.roll(1, dims=1)  # of red: blue, green
    mix = 2 * (eye + rest.clamp(min=0) * before + (-rest).clamp(min=0) * after) - 1
    turned = torch.stack([eye, before, after])[whole.long() % 3] @ mix
    return torch.cat([turned, (1 - rest.abs()).expand(-1, 3, 1)], dim=2)


def _turned(x: Tensor, mix: Tensor) -> Tensor:
    """Turn the hue of HSV, without going to HSV and back.

    Turned by s sextants of the circle, ``0 <= s <= 1``, a pixel with greatest and least channels V
    and m has the red ::

        clamp(R - G + (2 s - 1) B + (1 - s) (V + m), m, V)

    and the other channels likewise, in turn; for a negative s, G and B exchange their roles and s
    is ``|s|``. (Where B = m the red stays V until the turn has spent V - G and falls from there;
    likewise in each sextant.) Every two sextants are a rotation of the channels.
    """
    high, low = x.amax(dim=1, keepdim=True), x.amin(dim=1, keepdim=True)
    common = (high + low) * mix[:, :1, 3:]
    return torch.bmm(mix[:, :, :3], x).add_(common).clamp_(min=low, max=high)
