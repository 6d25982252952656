"""Transformations of a batch on its device: pure functions of an image and a parameter.

Every function is ``(x, lam) -> x'`` with ``x (B, C, *spatial)`` in 2D or 3D and ``lam (B, k)`` in
[0, 1], one row per image; all are differentiable in `x`, and in `lam` but for `mirror`, `cutout`
and `crop_resize`, keep the shape (but for a `resized_crop` with a size) and dtype of `x`, and work
in float32 at least (bfloat16 images are computed in float32 and rounded once).

- `flip`, `crop`, `rotate`, `blur`, `noise`: Table 1 of Ruppli et al. 2022.
- `mirror`, `cutout`, `crop_resize`, `affine`, with `blur` and `noise`: the augmentations of volumes
  in y-aware (Dufumier et al. 2021) and in the OpenBHB challenge.
- `pad`: a border, and the whole shrunk; digits become smaller.
- `center_crop`: the middle of an image, resized back; a cell without its neighbours.
- `bias_field`, `axis_blur` and `noise`: TorchIO's random bias field, blur and noise.
- `common.transforms.photo`: `resized_crop`, `color_jitter`, `grayscale`, `solarize`, `shift`,
  `erase` and `invert`, the changes of photographs in SimCLR and DINO; by name in a `Composition`.
- `CropGrid`: the discrete set of all crops of one size at a stride.
- `Composition` applies several in an order, slicing one ``lam (B, K)`` between them. A new one is
  declared in its own file, with `common.transforms.declaration.transformation`, and imported here.
"""

from common.transforms import photo as photo
from common.transforms.affine import affine
from common.transforms.axis_blur import axis_blur
from common.transforms.bias_field import bias_field
from common.transforms.blur import blur
from common.transforms.center_crop import center_crop
from common.transforms.composition import Composition
from common.transforms.crop import crop
from common.transforms.crop_grid import CropGrid
from common.transforms.crop_resize import crop_resize
from common.transforms.cutout import cutout
from common.transforms.flip import flip
from common.transforms.mirror import mirror
from common.transforms.noise import noise
from common.transforms.pad import pad
from common.transforms.rotate import rotate

__all__ = [
    "Composition",
    "CropGrid",
    "affine",
    "axis_blur",
    "bias_field",
    "blur",
    "center_crop",
    "crop",
    "crop_resize",
    "cutout",
    "flip",
    "mirror",
    "noise",
    "pad",
    "rotate",
]
