"""Small rotation, translation, scaling and shear in one resampling, each drawn per image."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.declaration import transformation
from common.transforms.sampling import rotation, sample_axis, source_grid

__all__ = ["affine"]


@transformation(
    size=lambda axes, settings: _parameters(axes, settings.get("shear", 0)),
    moves_pixels=True,
    ends=(
        "−{degrees:g}°, −{shift:g} px, −{scale:.0%} in size",
        "{degrees:g}°, {shift:g} px, +{scale:.0%} in size",
    ),
)
def affine(
    x: Tensor,
    lam: Tensor,
    *,
    degrees: float = 10.0,
    shift: float = 5.0,
    scale: float = 0.1,
    shear: float = 0.0,
) -> Tensor:
    """Return the image turned, moved and scaled about its centre: ``X(K R (p - t) / s)``.

    With ``u = 2 lam - 1`` in [-1, 1], so that ``lam = 0.5`` everywhere is the identity:

    - R rotates by ``u degrees``, as `common.transforms.rotate` does with its turns: one angle in
      2D, in 3D one about each spatial axis, ``R = R_0 R_1 R_2``;
    - ``t = u shift`` pixels along each axis, towards higher indices where ``u > 0``;
    - ``s = 1 + u scale`` enlarges along all axes alike;
    - K, with a `shear` in 2D, pushes each row along the columns by ``tan(u shear)`` times its
      distance from the middle, as torchvision's `RandomAffine` with one number.

    Outside the image is 0. With ``degrees = 0`` the axes are sampled one after the other, which
    gives the same in a fraction of the time.

    Differs from the paper: y-aware and OpenBHB name affine transformations without ranges; the
    defaults are ours.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, 4)`` in 2D: angle, two shifts, scale, and with a `shear` a fifth for it;
            ``(B, 7)`` in 3D: three angles, three shifts, scale.
        degrees: largest rotation, 0 or more.
        shift: largest translation in pixels, 0 or more.
        scale: largest relative change of size, in [0, 1).
        shear: largest angle of the shear in degrees, in [0, 90), in 2D only.

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x` and in `lam` (almost
        everywhere: linear interpolation has a kink at every pixel centre).

    >>> lam = torch.tensor([[0.5, 0.5, 1.0, 0.5]])
    >>> affine(torch.arange(3.0).expand(1, 1, 1, 3), lam, shift=1.0).round()[0, 0, 0].abs()
    tensor([0., 0., 1.])
    """
    spatial = x.dim() - 2
    require(
        0 <= shear < 90 and (shear == 0 or spatial == 2),
        f"affine: shear must be in [0, 90) degrees, and 0 in 3D, got {shear}.",
    )
    lam = checked_parameters("affine", x, lam, size=_parameters(spatial, shear))
    require(
        0 <= degrees < math.inf, f"affine: degrees must be at least 0 and finite, got {degrees}."
    )
    require(0 <= shift < math.inf, f"affine: shift must be at least 0 and finite, got {shift}.")
    require(0 <= scale < 1, f"affine: scale must be in [0, 1), got {scale}.")
    whole = 2 * lam - 1
    unit, pushed = whole[:, : _parameters(spatial, 0)], whole[:, _parameters(spatial, 0) :]
    turns, moves = unit[:, : -spatial - 1], shift * unit[:, -spatial - 1 : -1]
    smaller = 1 / (1 + scale * unit[:, -1:])
    out = x.to(lam.dtype)
    if degrees == shear == 0:
        for axis, side in enumerate(x.shape[2:]):
            centre = (side - 1) / 2
            pixels = torch.arange(side, device=lam.device, dtype=lam.dtype)
            source = (pixels - centre - moves[:, axis : axis + 1]) * smaller + centre
            out = sample_axis(out, source, axis + 2)
        return out.to(x.dtype)
    with torch.autocast(x.device.type, enabled=False):
        matrix = rotation(turns * math.radians(degrees), spatial) * smaller[:, :, None]
        if shear:
            push = (pushed * math.radians(shear)).tan()
            matrix = torch.stack([matrix[:, 0], matrix[:, 1] + push * matrix[:, 0]], dim=1)
        grid = source_grid(matrix, x.shape[2:], -(matrix @ moves[:, :, None]).squeeze(2))
        out = functional.grid_sample(
            out, grid, mode="bilinear", padding_mode="zeros", align_corners=False
        )
    return out.to(x.dtype)


def _parameters(spatial: int, shear: float) -> int:
    return (4 if spatial == 2 else 7) + (1 if shear else 0)
