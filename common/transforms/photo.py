"""The random changes of photographs in SimCLR and SupContrast, with one parameter row per image.

Chen et al. 2020 and Khosla et al. 2020 (and Barbano et al. 2023, who use the latter's code) draw,
for every view, a box of the image, a mirror image, other colours and sometimes no colour. The
mirror is `common.transforms.mirror`; the box is `resized_crop`, the colours are `color_jitter` and
`grayscale`; `shift` is the random crop after padding of the CIFAR networks.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters, columns
from common.transforms.sampling import sample_axis

__all__ = ["color_jitter", "grayscale", "resized_crop", "shift"]

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
CHROMA = ((0.596, -0.274, -0.322), (0.211, -0.523, 0.312))  # I and Q of NTSC


def resized_crop(
    x: Tensor,
    lam: Tensor,
    *,
    scale: Sequence[float] = (0.2, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
) -> Tensor:
    """Return a box of each image, enlarged to the whole (bilinear).

    Its area is a share of the image's, uniform in `scale` with the first column; its width over
    height log-uniform in `ratio` with the second; a side longer than the image's is cut to it;
    the third and fourth place it, from the top left (0) to the bottom right (1).

    Differs from torchvision's `RandomResizedCrop`: a box too long for the image is cut, there it is
    drawn again; boxes begin anywhere, there at whole pixels; no antialiasing is needed, since a box
    is never shrunk.

    Args:
        x: images ``(B, C, H, W)``.
        lam: area, shape, place down, place across, ``(B, 4)`` in [0, 1].
        scale: least and greatest share of the area, in (0, 1].
        ratio: least and greatest width over height.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and `lam` almost everywhere.
    """
    lam = checked_parameters("resized_crop", x, lam, size=4)
    require(x.dim() == 4, f"resized_crop: x must be (B, C, H, W), got shape {tuple(x.shape)}.")
    for name, (low, high) in (("scale", scale), ("ratio", ratio)):
        bound = 1 if name == "scale" else math.inf
        require(
            0 < low <= high <= bound,
            f"resized_crop: {name} must be two rising values above 0, got {low} and {high}.",
        )
    area = scale[0] + (scale[1] - scale[0]) * lam[:, 0]
    lowest, highest = math.log(ratio[0]), math.log(ratio[1])
    root = torch.exp((lowest + (highest - lowest) * lam[:, 1]) / 2)
    out = x.to(lam.dtype)
    for axis, size in enumerate((area.sqrt() / root, area.sqrt() * root)):
        side = x.shape[axis + 2]
        share = size.clamp(max=1)[:, None]
        pixels = torch.arange(side, device=lam.device, dtype=lam.dtype)
        start = lam[:, axis + 2 : axis + 3] * (side * (1 - share))
        source = start + share * (pixels + 0.5) - 0.5
        out = sample_axis(out, source.clamp(0, side - 1), axis + 2)
    return out.to(x.dtype)


def color_jitter(
    x: Tensor,
    lam: Tensor,
    *,
    brightness: float = 0.4,
    contrast: float = 0.4,
    saturation: float = 0.4,
    hue: float = 0.1,
) -> Tensor:
    """Change brightness, contrast, saturation and hue, in this order.

    ``lam = 0.5`` changes nothing. A factor ``1 + strength (2 lam - 1)`` scales the pixels
    (brightness), their distance to the mean grey of the image (contrast) and to their own grey
    (saturation); the hue turns by ``hue (2 lam - 1)`` full turns. Values are kept in [0, 1] after
    each step.

    Differs from torchvision's `ColorJitter`: there the order is drawn anew for each image, and the
    hue is that of HSV; here it is the angle in the chroma plane of YIQ, which is linear in x.

    Args:
        x: RGB images ``(B, 3, H, W)`` in [0, 1].
        lam: ``(B, 4)`` in [0, 1].
        brightness: greatest change of the factor, in [0, 1].
        contrast: likewise.
        saturation: likewise.
        hue: greatest turn, in [0, 0.5].

    Returns:
        Images of the shape and dtype of `x`, differentiable in both.
    """
    lam = checked_parameters("color_jitter", x, lam, size=4)
    _require_rgb("color_jitter", x)
    require(
        max(brightness, contrast, saturation) <= 1
        and 0 <= hue <= 0.5
        and min(brightness, contrast, saturation) >= 0,
        "color_jitter: brightness, contrast and saturation must lie in [0, 1] and hue in [0, 0.5], "
        f"got {brightness}, {contrast}, {saturation} and {hue}.",
    )
    turn = 2 * lam - 1
    out = (x.to(lam.dtype) * columns(1 + brightness * turn[:, :1], x)).clamp(0, 1)
    mean = _grey(out).mean(dim=(1, 2, 3), keepdim=True)
    out = (mean + (out - mean) * columns(1 + contrast * turn[:, 1:2], x)).clamp(0, 1)
    grey = _grey(out)
    out = (grey + (out - grey) * columns(1 + saturation * turn[:, 2:3], x)).clamp(0, 1)
    to_yiq = torch.tensor([LUMA, *CHROMA], device=lam.device, dtype=lam.dtype)
    angle = 2 * math.pi * hue * turn[:, 3]
    cosine, sine, zero, one = angle.cos(), angle.sin(), 0 * angle, torch.ones_like(angle)
    rotation = torch.stack([one, zero, zero, zero, cosine, -sine, zero, sine, cosine], dim=1)
    matrix = torch.linalg.inv(to_yiq) @ rotation.view(-1, 3, 3) @ to_yiq
    turned = torch.einsum("bij,bjhw->bihw", matrix, out)
    return turned.clamp(0, 1).to(x.dtype)


def grayscale(x: Tensor, lam: Tensor) -> Tensor:
    """Return the grey image in all three channels; `lam` does not matter, the policy decides.

    Args:
        x: RGB images ``(B, 3, H, W)``.
        lam: ``(B, 1)``.
    """
    checked_parameters("grayscale", x, lam, size=1)
    _require_rgb("grayscale", x)
    return _grey(x).expand_as(x)


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
    moved = (lam * (2 * pixels + 1)).long().clamp(max=2 * pixels) - pixels
    out = x
    for axis, side in enumerate(x.shape[2:]):
        shape = [1] * x.dim()
        shape[0], shape[axis + 2] = len(x), side
        source = torch.arange(side, device=x.device) - moved[:, axis : axis + 1]
        inside = ((source >= 0) & (source < side)).view(shape)
        index = source.clamp(0, side - 1).view(shape).expand_as(x)
        out = out.gather(axis + 2, index) * inside.to(x.dtype)
    return out


def _grey(x: Tensor) -> Tensor:
    weight = torch.tensor(LUMA, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)
    return (x * weight).sum(dim=1, keepdim=True)


def _require_rgb(name: str, x: Tensor) -> None:
    require(
        x.dim() == 4 and x.shape[1] == 3,
        f"{name}: x must be RGB (B, 3, H, W), got shape {tuple(x.shape)}.",
    )
