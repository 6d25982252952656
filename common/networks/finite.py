"""Weights are numbers or they are refused."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from common.checks import InputError

__all__ = ["require_finite"]


@torch.no_grad()
def require_finite(state: Mapping[str, Any], where: str, cure: str) -> None:
    """Raise `InputError` where a floating tensor holds NaN or infinity.

    Args:
        state: name -> tensor, such as a ``state_dict``; what is no tensor is passed over.
        where: what the error names first: a file, or who computed them.
        cure: what to do, a sentence.

    Raises:
        InputError: with the name of the first such tensor and the number of them.
    """
    tensors = {
        name: value
        for name, value in state.items()
        if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex())
    }
    # a sum is quicker than to ask every number, and all are read in one copy from the device
    sums = [torch.isfinite(value.sum()) for value in tensors.values()]
    device = sums[0].device if sums else torch.device("cpu")
    whole = torch.stack([one.to(device) for one in sums]).tolist() if sums else []
    bad = [
        name
        for (name, value), finite in zip(tensors.items(), whole)
        if not finite and not torch.isfinite(value).all()  # the sum alone may overflow
    ]
    if bad:
        others = f" and {len(bad) - 1} more tensors" if len(bad) > 1 else ""
        raise InputError(
            f"{where}: weights must be finite, got NaN or infinity in {bad[0]}{others}. {cure}"
        )
