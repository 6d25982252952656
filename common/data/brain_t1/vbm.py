"""Grey matter modulated by a non-linear registration (SyN, Avants et al. 2008), by `antspyx`."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import InputError
from common.data.brain_t1.template import Array, Grid, Template

__all__ = ["grey_matter"]

SEED = 1


def grey_matter(values: Array, brain: npt.NDArray[np.bool_], tissues: Array, to: Template) -> Array:
    """Warp grey matter to the template and keep its amount, after an affine registration.

    The image is warped so that its brain fits the template's; its grey matter goes along, times the
    determinant of the warp's Jacobian: what is compressed becomes denser. The affine part, the size
    of the head, does not count.

    Args:
        values: evened brightness on the template's grid, 0 outside the brain.
        brain: where the brain is.
        tissues: (3, X, Y, Z), grey matter first.
        to: the template on that grid.

    Returns:
        Float32 of the grid's shape, 0 or more.

    Raises:
        InputError: `antspyx` is not installed.
    """
    try:
        import ants
    except ImportError:
        raise InputError(
            "brain_t1: antspyx must be installed for --map vbm, got none. pip install antspyx, or "
            "take --map tissue."
        ) from None
    scale = max(float(np.percentile(values[brain], 98)), 1e-6)
    fixed = _image(ants, to.t1, to.grid)
    moving = _image(ants, np.where(brain, values / scale, 0), to.grid)
    with tempfile.TemporaryDirectory() as folder:
        registered = ants.registration(
            fixed,
            moving,
            "SyNOnly",
            initial_transform="identity",
            random_seed=SEED,
            singleprecision=True,
            outprefix=str(Path(folder) / "warp_"),
        )
        warped = ants.apply_transforms(
            fixed, _image(ants, tissues[0], to.grid), registered["fwdtransforms"]
        )
        warps = [name for name in registered["fwdtransforms"] if name.endswith("nii.gz")]
        jacobian = ants.create_jacobian_determinant_image(fixed, warps[0])
    return np.maximum(np.asarray(warped.numpy() * jacobian.numpy(), np.float32), 0)


def _image(ants: Any, values: npt.NDArray[Any], grid: Grid) -> Any:
    origin = tuple(float(x) for x in grid.affine[:3, 3])
    return ants.from_numpy(np.ascontiguousarray(values, np.float32), origin, (grid.spacing_mm,) * 3)
