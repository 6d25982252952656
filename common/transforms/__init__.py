"""The transformations of Ruppli et al. 2022, Table 1: pure functions of an image and a parameter.

Every function is ``(x, lam) -> x'`` with ``x (B, C, *spatial)`` in 2D or 3D and ``lam (B, k)`` in
[0, 1], one row per image; all are differentiable in both, keep the shape and dtype of `x`, and
work in float32 at least (bfloat16 images are computed in float32 and rounded once).

- `flip`, `crop`, `rotate` move or hide pixels; `blur`, `noise` change intensities.
- `Composition` applies several in an order, slicing one ``lam (B, K)`` between them.
"""

from common.transforms.blur import blur
from common.transforms.composition import Composition
from common.transforms.crop import crop
from common.transforms.flip import flip
from common.transforms.noise import noise
from common.transforms.rotate import rotate

__all__ = ["Composition", "blur", "crop", "flip", "noise", "rotate"]
