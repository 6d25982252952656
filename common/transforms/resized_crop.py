"""Random box of a photograph, resized: SimCLR's and DINO's first change."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.resample import KERNELS, resampled

__all__ = ["box_sides", "resized_crop"]

KNOTS = 1025  # points at which the distribution of the area is tabulated


@transformation(
    size=4,
    moves_pixels=True,
    ends=(
        "{scale[0]:.0%} of the area",
        "{scale[1]:.0%} of the area",
    ),
)
def resized_crop(
    x: Tensor,
    lam: Tensor,
    *,
    scale: Sequence[float] = (0.2, 1.0),
    ratio: Sequence[float] = (3 / 4, 4 / 3),
    size: int | None = None,
    interpolation: str = "bilinear",
    antialias: bool = False,
) -> Tensor:
    """Return a box of each image, resized to `size`.

    A uniform `lam` gives the law of torchvision's `RandomResizedCrop`, which draws an area uniform
    in `scale` and a width over height log-uniform in `ratio` until the box fits the image: the
    first column is the area's place in that law, the second that of the ratio among those that
    fit; the third and fourth place the box, from the top left (0) to the bottom right (1). In
    between pixels the image is that of Pillow's ``resize(box=...)``.

    DINO's crops are ``size=224, scale=(0.4, 1), interpolation="bicubic", antialias=True``.

    Differs from torchvision: boxes begin anywhere, there at whole pixels; the kernel reaches beyond
    the box, there it is cut at its edge; where no box fits, the longer side is cut, as there after
    ten draws. Pictures of 8 bits are the exception: with antialiasing on the CPU they have whole
    pixels, cut kernels and results of 8 bits as there, in less than half the time (channels last).

    Args:
        x: images ``(B, C, H, W)``, in [0, 1] for "bicubic", which is kept in that range; or uint8,
            which stands for x / 255 in float32.
        lam: area, shape, place down, place across, ``(B, 4)`` in [0, 1].
        scale: least and greatest share of the area, in (0, 1].
        ratio: least and greatest width over height.
        size: pixels of each side of the result; None keeps the size of `x`.
        interpolation: "bilinear" or "bicubic" (a = -1/2).
        antialias: whether a box that shrinks is smoothed as much as that needs.

    Returns:
        Images ``(B, C, size, size)`` of the dtype of `x` (float32 for uint8), differentiable in `x`
        and `lam` almost everywhere.
    """
    bytewise = x.dtype == torch.uint8
    lam = checked_parameters("resized_crop", x[..., :1, :1].float() if bytewise else x, lam, size=4)
    require(x.dim() == 4, f"resized_crop: x must be (B, C, H, W), got shape {tuple(x.shape)}.")
    for name, (low, high) in (("scale", scale), ("ratio", ratio)):
        bound = 1 if name == "scale" else math.inf
        require(
            0 < low <= high <= bound,
            f"resized_crop: {name} must be two rising values above 0, got {low} and {high}.",
        )
    require(size is None or size >= 1, f"resized_crop: size must be at least 1, got {size}.")
    require(
        interpolation in KERNELS,
        f"resized_crop: interpolation must be {' or '.join(KERNELS)}, got {interpolation!r}.",
    )
    sides = box_sides(lam, x.shape[2:], scale, ratio)
    if bytewise and antialias and x.device.type == "cpu":
        return _of_bytes(x, lam[:, 2:], sides, size or x.shape[2:], interpolation)
    x = x / 255 if bytewise else x
    out = x.to(lam.dtype)
    with torch.autocast(x.device.type, enabled=False):
        for axis, length in enumerate(sides):
            side = x.shape[axis + 2]
            pixels = side if size is None else size
            start = lam[:, axis + 2 : axis + 3] * (side - length)
            out = out.mT if axis else out
            out = resampled(
                out, start, length / pixels, pixels, side / pixels, interpolation, antialias
            )
        out = out.mT.contiguous()
    return (out.clamp_(0, 1) if interpolation == "bicubic" else out).to(x.dtype)


def _of_bytes(
    x: Tensor, places: Tensor, sides: Sequence[Tensor], size: int | Sequence[int], mode: str
) -> Tensor:
    """Crop and resize 8-bit pictures one by one, with PyTorch's kernel for them.

    Args:
        x: ``(B, C, H, W)`` uint8.
        places: of the boxes ``(B, 2)`` in [0, 1].
        sides: height and width of the boxes in pixels, ``(B, 1)`` each.
        size: of the result.
        mode: "bilinear" or "bicubic".
    """
    shape = (size, size) if isinstance(size, int) else tuple(size)
    lengths = torch.cat(list(sides), dim=1).round().clamp(min=1)
    starts = places * (torch.tensor(x.shape[2:]) - lengths + 1)
    boxes = torch.cat([starts.floor().minimum(torch.tensor(x.shape[2:]) - lengths), lengths], dim=1)
    out = x.new_empty(len(x), x.shape[1], *shape, dtype=torch.float32)
    for index, (top, left, height, width) in enumerate(boxes.long().tolist()):
        box = x[index : index + 1, :, top : top + height, left : left + width]
        out[index] = functional.interpolate(box, shape, mode=mode, antialias=True)[0]
    return out.div_(255)


def box_sides(
    lam: Tensor, shape: Sequence[int], scale: Sequence[float], ratio: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return the height and the width of each box in pixels, ``(B, 1)``; see `resized_crop`.

    Args:
        lam: area and shape in its first two columns.
        shape: height and width of the images.
        scale: least and greatest share of the area.
        ratio: least and greatest width over height.
    """
    height, width = shape
    law = _law(width / height, (scale[0], scale[1]), (ratio[0], ratio[1]))
    places, shares = torch.from_numpy(law).to(device=lam.device, dtype=lam.dtype)
    area = _between(lam[:, :1].contiguous(), places, shares) * (height * width)
    least, most = math.log(ratio[0]), math.log(ratio[1])
    low = (area / height**2).log().clamp(least, most)  # else the box is too high
    high = (width**2 / area).log().clamp(least, most)  # else too wide
    root = torch.exp((low + (high - low) * lam[:, 1:2]) / 2)
    return (area.sqrt() / root).clamp(max=height), (area.sqrt() * root).clamp(max=width)


@lru_cache
def _law(
    aspect: float, scale: tuple[float, float], ratio: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Return the law of the area where boxes are drawn until one fits: how many, below which share.

    Of the draws with a share a of the area, those fit whose log ratio lies both in the given range
    and in [log(a aspect), log(aspect / a)]: the density at a is the length of what they have in
    common.

    Args:
        aspect: width over height of the image.
        scale: least and greatest share.
        ratio: least and greatest width over height of a box.

    Returns:
        ``(2, KNOTS)``: places from 0 to 1, and shares.
    """
    share = np.linspace(*scale, KNOTS)
    low = np.maximum(np.log(share * aspect), math.log(ratio[0]))
    high = np.minimum(np.log(aspect / share), math.log(ratio[1]))
    density = np.maximum(high - low + 1e-6, 0)  # with one ratio only, the length is 0 or less
    place = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    if place[-1] == 0:  # no box fits
        place = np.linspace(0, 1, KNOTS)
    return np.stack([place / place[-1], share])


def _between(place: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Return the values ``(B, 1)`` at `place`, on the line through (places, values)."""
    after = torch.searchsorted(places, place.detach()).clamp(1, len(places) - 1)
    first, last = places[after - 1], places[after]
    part = (place - first) / (last - first).clamp(min=1e-12)
    return torch.lerp(values[after - 1], values[after], part)
