"""One head from its file to the image that a network sees, with its quality.

::

    read -> brain -> affine to the template -> one resampling -> even field -> map
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from common.checks import require
from common.data.brain_t1 import tissue
from common.data.brain_t1.extract import brain_mask, looks_stripped, stripped_mask
from common.data.brain_t1.head import Head, read_head
from common.data.brain_t1.preparation import BrainPreparation
from common.data.brain_t1.quality import flags, measured
from common.data.brain_t1.register import COARSE_MM, register
from common.data.brain_t1.template import Affine, Array, Grid, sampled, template

__all__ = ["WHITE", "PreparedBrain", "prepare_brain", "prepare_head"]

WHITE = 0.8  # the white matter's mean in an intensity map
SMOOTHING_MM = 0.0  # standard deviation, of tissue maps
SHOWN_MM = 8.0  # of what lies about the template's brain, in pictures: no face


@dataclass(frozen=True)
class PreparedBrain:
    """One head on the template's grid.

    Args:
        image: (C, X, Y, Z) float32 in [0, 1]; of "vbm" 0 or more.
        quality: ``overlap``, ``volume_ml``, ``correlation``, ``slice_mm``
            (`common.data.brain_t1.quality.measured`), and ``grey_share``, ``white_share``,
            ``csf_share`` of the brain.
        flags: reasons to look at it, one line each.
        shown: (X, Y, Z) of the 3 mm grid: the head within 8 mm of the template's brain, for
            pictures.
        brain: where its brain is on that grid, bool.
        affine: (4, 4): voxels of `image` to the template's millimetres.
    """

    image: Array
    quality: dict[str, float]
    flags: tuple[str, ...]
    shown: Array = field(repr=False)
    brain: npt.NDArray[np.bool_] = field(repr=False)
    affine: Affine = field(repr=False)


def prepare_brain(
    source: str | Path | Sequence[str | Path], preparation: BrainPreparation | None = None
) -> PreparedBrain:
    """Prepare one head as `python -m data_prep brain_t1` does.

    Args:
        source: a NIfTI file, the files of one DICOM series, or a folder that holds one; see
            `common.data.brain_t1.head.read_head`.
        preparation: the choices, `BrainPreparation.from_record` of a model's; defaults if None.

    Raises:
        InputError: what cannot be read, or is no head; one line.
    """
    name = Path(source).name if isinstance(source, str | Path) else "DICOM series"
    return prepare_head(read_head(source), preparation or BrainPreparation(), name)


def prepare_head(head: Head, preparation: BrainPreparation, name: str) -> PreparedBrain:
    """Prepare a head that was read.

    Args:
        head: its voxels and affine.
        preparation: the choices.
        name: what an error calls it.
    """
    stripped, voxel_ml = preparation.stripped, abs(float(np.linalg.det(head.affine[:3, :3]))) / 1000
    if stripped is None:
        stripped = looks_stripped(head.voxels, voxel_ml)
    mask = stripped_mask(head.voxels, name) if stripped else brain_mask(head.voxels, name)
    to_head, turned = register(head.voxels, mask, head.affine)
    coarse = template(COARSE_MM)
    brain = sampled(mask, head.affine, coarse.grid, to_head) > 0.5
    require(
        bool(brain.any()), f"{name}: must show a brain, got one of no size. Leave the image out."
    )
    shown = sampled(head.voxels, head.affine, coarse.grid, to_head)
    bias = tissue.field(shown, brain, coarse.grid)
    evened = np.where(brain, shown / bias, 0).astype(np.float32)
    quality = measured(evened, brain, coarse, float(mask.sum()) * voxel_ml, max(head.spacing_mm))
    image, shares = _mapped(head, mask, to_head, bias, preparation)
    around = binary_dilation(coarse.brain, iterations=round(SHOWN_MM / COARSE_MM))
    return PreparedBrain(
        image,
        {**quality, **shares},
        tuple(flags(quality, turned)),
        np.where(around | brain, shown, 0).astype(np.float32),
        brain,
        Grid(preparation.spacing_mm).affine,
    )


def _mapped(
    head: Head,
    mask: npt.NDArray[np.bool_],
    to_head: Affine,
    bias: Array,
    preparation: BrainPreparation,
) -> tuple[Array, dict[str, float]]:
    """The map on its own grid, and the share of each tissue in the brain."""
    target = template(preparation.spacing_mm)
    values = sampled(head.voxels, head.affine, target.grid, to_head)
    brain = sampled(mask, head.affine, target.grid, to_head) > 0.5
    smooth = sampled(bias, Grid(COARSE_MM).affine, target.grid)
    values = np.where(brain, values / np.maximum(smooth, 0.1), 0).astype(np.float32)
    fitted = tissue.mixture(values, brain, target)
    total = fitted.tissues.sum()
    names = ("grey_share", "white_share", "csf_share")
    shares = {
        name: round(float(part.sum() / total), 4) for name, part in zip(names, fitted.tissues)
    }
    if preparation.map in ("tissue", "grey_white"):
        return fitted.tissues[: preparation.channels], shares
    if preparation.map == "vbm":
        from common.data.brain_t1.vbm import grey_matter

        return grey_matter(values, brain, fitted.tissues, target)[None], shares
    white = max(fitted.means[1], 1e-6)
    return np.clip(values * (WHITE / white), 0, 1)[None].astype(np.float32), shares
