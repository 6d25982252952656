"""The random changes of photographs in SimCLR, SupContrast and DINO, with one row per image.

Chen et al. 2020, Khosla et al. 2020 (and Barbano et al. 2023, who use the latter's code) and Caron
et al. 2021 draw, for every view, a box of the image, a mirror image, other colours, sometimes no
colour; DINO also blurs, and shows the brightest as negatives. The mirror and the blur are those of
`common.transforms`; `shift` is the random crop after padding of the CIFAR networks; `erase` and
`invert` are of the digits in No Free Lunch (Bendidi et al. 2023).

DINO's second global view, each change with a chance of its own (1, .5, .8, .2, .1, .2)::

    Composition(
        ["resized_crop", "mirror", "color_jitter", "grayscale", "blur", "solarize"],
        settings={
            "resized_crop": {
                "size": 224, "scale": [0.4, 1], "interpolation": "bicubic", "antialias": True
            },
            "mirror": {"axes": [1]},
            "color_jitter": {"saturation": 0.2},
            "blur": {"min_sigma": 0.1, "max_sigma": 2.0, "border": "edge"},
        },
    )
"""

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.color_jitter import color_jitter
from common.transforms.declaration import transformation
from common.transforms.erase import erase
from common.transforms.grey import luma, require_rgb
from common.transforms.resized_crop import resized_crop

__all__ = ["color_jitter", "erase", "grayscale", "invert", "resized_crop", "shift", "solarize"]


@transformation(size=1, moves_pixels=False, ends=("grey", "grey"))
def grayscale(x: Tensor, lam: Tensor) -> Tensor:
    """Return the grey image in all three channels; `lam` does not matter, the policy decides.

    Args:
        x: RGB images ``(B, 3, H, W)``.
        lam: ``(B, 1)``.
    """
    checked_parameters("grayscale", x, lam, size=1)
    require_rgb("grayscale", x)
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(2)
    with torch.autocast(x.device.type, enabled=False):
        grey = luma(wide).reshape(len(x), 1, *x.shape[2:])
    return grey.to(x.dtype).expand_as(x).contiguous()


@transformation(size="axes", moves_pixels=True, ends=("−{pixels} px", "{pixels} px"))
def shift(x: Tensor, lam: Tensor, *, pixels: int = 4) -> Tensor:
    """Move each image by whole pixels, black where it leaves: padding and random crop.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, 2)`` or ``(B, 3)``: 0 moves by ``-pixels`` along an axis, 1 by ``pixels``.
        pixels: greatest move.

    Returns:
        Images of the shape and dtype of `x`; the gradient in `lam` is 0.
    """
    lam = checked_parameters("shift", x, lam, size=None)
    require(pixels >= 0, f"shift: pixels must be at least 0, got {pixels}.")
    moved = (lam * (2 * pixels + 1)).long().clamp(0, 2 * pixels) - pixels
    out = x
    for axis, side in enumerate(x.shape[2:]):
        shape = [1] * x.dim()
        shape[0], shape[axis + 2] = len(x), side
        source = torch.arange(side, device=x.device) - moved[:, axis : axis + 1]
        inside = ((source >= 0) & (source < side)).view(shape)
        index = source.clamp(0, side - 1).view(shape).expand_as(x)
        out = out.gather(axis + 2, index) * inside.to(x.dtype)
    return out


@transformation(size=1, moves_pixels=False, ends=("solarized", "solarized"))
def solarize(x: Tensor, lam: Tensor) -> Tensor:
    """Return the negative of what is brighter than half; `lam` does not matter.

    That is ``min(X, 1 - X)``, as `PIL.ImageOps.solarize` with its threshold of 128.

    Args:
        x: images ``(B, C, *spatial)`` in [0, 1].
        lam: ``(B, 1)``.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0.

    >>> solarize(torch.tensor([[[[0.25, 0.75, 1.0]]]]), torch.zeros(1, 1))
    tensor([[[[0.2500, 0.2500, 0.0000]]]])
    """
    checked_parameters("solarize", x, lam, size=1)
    return torch.minimum(x, 1 - x)


@transformation(size=1, moves_pixels=False, ends=("negative", "negative"))
def invert(x: Tensor, lam: Tensor) -> Tensor:
    """Return the negative, ``1 - X``; `lam` does not matter, the policy decides.

    Args:
        x: images ``(B, C, *spatial)`` in [0, 1].
        lam: ``(B, 1)``.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0.

    >>> invert(torch.tensor([[[[0.25, 1.0]]]]), torch.zeros(1, 1))
    tensor([[[[0.7500, 0.0000]]]])
    """
    checked_parameters("invert", x, lam, size=1)
    return 1 - x
