"""The middle of an image, resized back to the whole: what lies around its centre, nothing else."""

import torch
from torch import Tensor

from common.checks import require
from common.transforms.arguments import checked_parameters
from common.transforms.crop_resize import crop_resize
from common.transforms.declaration import transformation

__all__ = ["center_crop"]


@transformation(size=1, moves_pixels=True, ends=("the middle {size:.0%}", "the middle {size:.0%}"))
def center_crop(x: Tensor, lam: Tensor, *, size: float = 0.5) -> Tensor:
    """Return the middle `size` of each side, enlarged to the whole; `lam` does not matter.

    With crops that have a cell in their middle it leaves that cell and takes its neighbours away
    ("No Free Lunch in Self Supervised Representation Learning", B.4, `size` 0.5). The box is that
    of `common.transforms.crop_resize` at 0.5.

    Args:
        x: images ``(B, C, *spatial)``.
        lam: ``(B, 1)``; the policy decides whether it is applied.
        size: length of the box as a share of each side, in (0, 1].

    Returns:
        Images of the shape and dtype of `x`, differentiable in `x`; the gradient in `lam` is 0.

    >>> center_crop(torch.arange(4.0).expand(1, 1, 4, 4), torch.zeros(1, 1))[0, 0, 0]
    tensor([1.0000, 1.2500, 1.7500, 2.0000])
    """
    lam = checked_parameters("center_crop", x, lam, size=1)
    require(0 < size <= 1, f"center_crop: size must be in (0, 1], got {size}.")
    middle = torch.full((len(x), x.dim() - 2), 0.5, dtype=lam.dtype, device=lam.device)
    return crop_resize(x, middle, size=size)
