"""Learned perceptual image patch similarity of two views (LPIPS; Zhang et al., CVPR 2018).

How unlike two views of an image look to an AlexNet: No Free Lunch's Table 2 shows that the
transformations which destroy the class are those that move views far apart. The network is that of
the package ``lpips``, which needs torchvision and its AlexNet weights; neither is required by
anything else here, nor installed.

Paper: https://arxiv.org/abs/1801.03924
"""

import importlib
from collections.abc import Callable

import torch
from torch import Tensor

from common.checks import InputError, require

__all__ = ["load_lpips", "perceptual_distance"]

Distance = Callable[[Tensor, Tensor], Tensor]

_BATCH = 64
_CURE = (
    "Install it with pip install lpips torchvision, and let torchvision load its AlexNet weights "
    "once; or set perceptual to false."
)


def load_lpips() -> Distance:
    """Load LPIPS with AlexNet: two batches ``(B, 3, H, W)`` in [-1, 1] -> ``(B, 1, 1, 1)``.

    Raises:
        InputError: the package, torchvision, or the weights are not there.
    """
    try:
        lpips = importlib.import_module("lpips")
        distance: Distance = lpips.LPIPS(net="alex", verbose=False).eval()
    except (
        ImportError,
        OSError,
        RuntimeError,
    ) as error:  # the last by a torchvision of another torch
        reason = str(error).replace("\n", " ")
        raise InputError(
            f"perceptual_distance: lpips must be there with its weights, got {reason}. {_CURE}"
        ) from None
    return distance


@torch.no_grad()
def perceptual_distance(first: Tensor, second: Tensor, distance: Distance | None = None) -> float:
    """Compute the mean distance of images and their counterparts, 0 where they are the same.

    Args:
        first: images ``(N, C, H, W)`` in [0, 1]; grey ones are shown three times, of more channels
            than three the first three.
        second: likewise, as many and as large.
        distance: LPIPS, or another; `load_lpips` unless given.

    Raises:
        InputError: images that do not fit together, volumes, or see `load_lpips`.
    """
    require(
        first.ndim == 4 and first.shape == second.shape and len(first) > 0,
        "perceptual_distance: first and second must be images of one shape (N, C, H, W), got "
        f"{tuple(first.shape)} and {tuple(second.shape)}.",
    )
    distance = load_lpips() if distance is None else distance
    found = [
        distance(_as_seen(one), _as_seen(other)).flatten()
        for one, other in zip(torch.split(first, _BATCH), torch.split(second, _BATCH))
    ]
    return float(torch.cat(found).double().mean())


def _as_seen(x: Tensor) -> Tensor:
    """Three channels in [-1, 1], on the CPU."""
    x = x.float().cpu()
    x = x[:, :3] if x.shape[1] >= 3 else x[:, :1].expand(-1, 3, -1, -1)
    return 2 * x - 1
