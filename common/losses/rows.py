"""What the losses ask of their input, and the rows they compute with."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from common.checks import require
from common.distributed import world_size
from common.kernels import unit_rows

__all__ = [
    "check_groups",
    "check_rows",
    "check_temperature",
    "check_values",
    "finite_only_if",
    "scaled_rows",
]

_LOWEST_TEMPERATURE = 1 / 500
_LARGEST_EXPONENT_IN_FLOAT32 = 60


def check_temperature(name: str, temperature: float) -> None:
    """Raise `InputError` unless `temperature` is one whose exponentials can be represented.

    Args:
        name: the loss, for the message.
        temperature: divides the cosines.
    """
    require(
        _LOWEST_TEMPERATURE <= temperature < float("inf"),
        f"{name}: temperature must be at least {_LOWEST_TEMPERATURE}, got {temperature}.",
    )


def check_rows(name: str, z: Tensor) -> None:
    """Raise `InputError` unless z is floating (B, V, D) with 2 rows or more over all ranks."""
    require(
        z.dim() == 3 and z.shape[1] >= 1 and z.is_floating_point(),
        f"{name}: z must be floating (B, V, D), got {z.dtype} {tuple(z.shape)}.",
    )
    require(
        z.shape[0] * z.shape[1] * world_size() >= 2,
        f"{name}: z must hold at least 2 rows, got {z.shape[0] * z.shape[1]}. Use a larger batch.",
    )


def check_groups(name: str, argument: str, group: Tensor, z: Tensor) -> None:
    """Raise `InputError` unless `group` is (B,) of whole numbers from 0.

    Args:
        name: the loss, for the message.
        argument: "label" or "bias", for the message.
        group: the class or the bias of each subject.
        z: (B, V, D).
    """
    require(
        group.shape == z.shape[:1] and not (group.is_floating_point() or group.is_complex()),
        f"{name}: {argument} must be whole numbers of shape ({len(z)},), "
        f"got {group.dtype} {tuple(group.shape)}.",
    )
    smallest = int(group.min()) if group.numel() else 0
    require(
        smallest >= 0,
        f"{name}: {argument} must be at least 0 for every subject, got {smallest}. "
        f"Drop the subjects without a {argument}.",
    )


def check_values(name: str, y: Tensor, z: Tensor, argument: str = "y") -> None:
    """Raise `InputError` unless `y` is (B,) or (B, k) of finite numbers.

    Args:
        name: the loss, for the message.
        y: the attribute of each subject.
        z: (B, V, D).
        argument: what the loss calls `y`, for the message.
    """
    require(
        y.dim() in (1, 2) and len(y) == len(z) and not y.is_complex(),
        f"{name}: {argument} must be numbers of shape ({len(z)},) or ({len(z)}, k), "
        f"got {y.dtype} {tuple(y.shape)}.",
    )
    bad = y.numel() - int(torch.isfinite(y).sum())
    require(
        bad == 0,
        f"{name}: {argument} must be finite for every subject, got {bad} NaN or infinite. "
        "Drop the subjects without it.",
    )


def finite_only_if(loss: Tensor, rows: Tensor) -> Tensor:
    """Return `loss`, or NaN where a row is not finite.

    For losses that leave rows out, as those without a positive: a row that is not finite is an
    error of its own, which must not pass as a loss of 0.

    Args:
        loss: scalar.
        rows: of `scaled_rows`.
    """
    return loss + 0 * rows.detach().sum()


def scaled_rows(z: Tensor, temperature: float) -> Tensor:
    """Rescale rows so that their dot products are cosines over the temperature.

    A row of zeros has no direction: it stays zero (cosine 0 to all) and receives no gradient; see
    `common.kernels.unit_rows`.

    Args:
        z: (..., D), any floating type.
        temperature: see `check_temperature`.

    Returns:
        (..., D) of length 1/sqrt(temperature), in float32, or float64 if z is or if the
        exponentials of this temperature need it.
    """
    needs_double = 1 / temperature > _LARGEST_EXPONENT_IN_FLOAT32
    wide = z.double() if needs_double or z.dtype == torch.double else z.float()
    rows: Tensor = _ScaledRows.apply(wide, float(temperature**-0.5))  # type: ignore[no-untyped-call]
    return rows


class _ScaledRows(torch.autograd.Function):
    """`unit_rows` with its gradient: the part across the row, divided by the row's length."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, length: float) -> Tensor:
        rows, factor = unit_rows(z, length)
        ctx.save_for_backward(z, factor)  # z is kept anyway, the rows need not be
        ctx.length = length
        return rows

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        z, factor = ctx.saved_tensors
        rows = z * factor
        along = (gradient * rows).sum(dim=-1, keepdim=True).mul_(-(ctx.length**-2))
        return rows.mul_(along).add_(gradient).mul_(factor), None
