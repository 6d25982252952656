"""What a loss reads of a batch besides the network's outputs."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from common.checks import require

__all__ = ["read_targets"]


def read_targets(
    loss: nn.Module, batch: Mapping[str, Any], columns: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return the keyword arguments `loss` asks for, taken from the columns of `batch`.

    Args:
        loss: its attribute ``targets`` names them, such as ``("y",)``; none without the attribute.
        batch: column name -> tensor.
        columns: target -> column, where the names differ: ``{"y": "age", "bias": "site"}``.

    Returns:
        Target -> tensor.
    """
    targets = {}
    for target in getattr(loss, "targets", ()):
        column = columns.get(target, target)
        require(
            column in batch,
            f"{type(loss).__name__}: the batch must hold {column!r} (read as {target!r}), got "
            f"{', '.join(sorted(batch))}. Add the column to the manifest, or name another in "
            "columns.",
        )
        targets[target] = batch[column]
    return targets
