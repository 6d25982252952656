"""A box of random size set to black: random erasing (Zhong et al., AAAI 2020)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.resized_crop import box_sides

__all__ = ["erase"]


@transformation(
    size=4, moves_pixels=True, ends=("{scale[0]:.0%} of the area", "{scale[1]:.0%} of the area")
)
def erase(
    x: Tensor,
    lam: Tensor,
    *,
    scale: Sequence[float] = (0.02, 0.33),
    ratio: Sequence[float] = (0.3, 3.3),
) -> Tensor:
    """Set a box of each image to 0.

    With a uniform `lam`, the law of torchvision's `RandomErasing` for what it erases: an area
    uniform in `scale` and a ratio log-uniform in `ratio`, drawn until the box fits; whether an
    image is erased at all is the policy's to say. The columns are those of `resized_crop`: area,
    shape, place down, place across.

    Differs from torchvision: a box may be as long as a side, there it must be shorter; the fill is
    0 alone.

    Args:
        x: images ``(B, C, H, W)``.
        lam: area, shape, place down, place across, ``(B, 4)`` in [0, 1].
        scale: least and greatest share of the area, in (0, 1].
        ratio: least and greatest width over height.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0,
        because the box has whole pixels.

    >>> lam = torch.tensor([[0.0, 0.5, 0.0, 1.0]])
    >>> erase(torch.ones(1, 1, 4, 4), lam, scale=(0.25, 0.25), ratio=(1, 1))[0, 0, 0]
    tensor([1., 1., 0., 0.])
    """
    lam = checked_parameters("erase", x, lam, size=4).detach()
    require(x.dim() == 4, f"erase: x must be (B, C, H, W), got shape {tuple(x.shape)}.")
    for name, (low, high), most in (("scale", scale, 1.0), ("ratio", ratio, float("inf"))):
        require(
            0 < low <= high <= most,
            f"erase: {name} must be two rising values above 0, got {low} and {high}.",
        )
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for axis, length in enumerate(box_sides(lam, x.shape[2:], scale, ratio)):
        side = x.shape[axis + 2]
        pixels = length.round().clamp(1, side)
        start = (lam[:, axis + 2 : axis + 3] * (side - pixels + 1)).floor().minimum(side - pixels)
        place = torch.arange(side, device=x.device)
        within = (place >= start) & (place < start + pixels)
        inside = inside & within.reshape(len(x), 1, *([side, 1] if axis == 0 else [1, side]))
    return torch.where(inside, torch.zeros((), dtype=x.dtype, device=x.device), x)
