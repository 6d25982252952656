"""What every transformation asks of its arguments: shapes, one parameter row per image, dtype."""

from collections.abc import Sequence

import torch
from torch import Tensor

from common.checks import InputError, require

__all__ = ["box", "checked_parameters", "columns"]


def checked_parameters(name: str, x: Tensor, lam: Tensor, size: int | None) -> Tensor:
    """Return `lam` on the device of `x`, in the dtype the transformation is computed in.

    Args:
        name: the transformation, for the error text.
        x: images ``(B, C, *spatial)``, 2D or 3D, floating point.
        lam: parameters ``(B, size)``.
        size: parameters per image; None means one per spatial axis.

    Returns:
        ``(B, size)`` in float64 for float64 images, else float32: coordinates and angles in half
        precision would be wrong by whole pixels.

    Raises:
        InputError: a wrong number of dimensions, an integer image, a `lam` of another shape, or,
            on a CPU, outside [0, 1]. On an accelerator, which looking would halt, `Composition`
            looks, once for all transformations.
    """
    require(
        x.dim() in (4, 5),
        f"{name}: x must be (B, C, H, W) or (B, C, D, H, W), got shape {tuple(x.shape)}.",
    )
    require(
        x.is_floating_point(),
        f"{name}: x must be floating point, got {x.dtype}. Convert it with x.float() / 255.",
    )
    expected = (x.shape[0], x.dim() - 2 if size is None else size)
    require(
        tuple(lam.shape) == expected,
        f"{name}: lam must have shape {expected} for x of shape {tuple(x.shape)}, "
        f"got {tuple(lam.shape)}.",
    )
    if lam.device.type == "cpu":
        inside = (lam >= 0) & (lam <= 1)
        if not inside.all():
            first = float(lam.detach()[~inside][0])
            raise InputError(f"{name}: lam must lie in [0, 1], got {first:g}.")
    return lam.to(device=x.device, dtype=torch.promote_types(x.dtype, torch.float32))


def columns(value: Tensor, x: Tensor) -> Tensor:
    """Reshape ``(B, 1)`` to ``(B, 1, 1, ...)`` so that it broadcasts against `x`."""
    return value.reshape(-1, *[1] * (x.dim() - 1))


def box(x: Tensor, lam: Tensor, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    """Return the indices of one box in every image, all of one size, placed by `lam`.

    Its first pixel along an axis is ``floor(lam (side - length + 1))``: ``lam = 0`` and
    ``lam = 1`` lie flush with the two borders and a uniform `lam` makes all places equally likely.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, spatial)`` in [0, 1].
        lengths: of the box in pixels, one for each spatial axis.

    Returns:
        One index tensor per dimension of `x`; they broadcast to ``(B, C, *lengths)``.
    """
    counters = [torch.arange(count, device=x.device) for count in x.shape[:2]]
    shape = [1] * x.dim()
    indices = [counters[0].reshape(-1, *shape[1:]), counters[1].reshape(1, -1, *shape[2:])]
    for axis, (side, length) in enumerate(zip(x.shape[2:], lengths)):
        places = side - length
        first = (lam[:, axis : axis + 1] * (places + 1)).floor().clamp(0, places).long()
        pixels = first + torch.arange(length, device=x.device)
        indices.append(pixels.reshape(-1, *shape[1 : axis + 2], length, *shape[axis + 3 :]))
    return tuple(indices)
