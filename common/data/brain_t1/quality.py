"""Numbers that say whether a prepared head may be believed, and the bounds beyond which one looks.

A flagged head is kept: its numbers stand in the manifest, and it comes first on the quality page.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from common.data.brain_t1.template import Array, Template

__all__ = ["BOUNDS", "flags", "measured"]

BOUNDS = {
    "overlap": (0.93, 1.0),
    "volume_ml": (800.0, 2100.0),
    "correlation": (0.7, 1.0),
    "slice_mm": (0.0, 4.0),
}
WORDS = {
    "overlap": "overlap with the template's brain",
    "volume_ml": "brain volume (ml)",
    "correlation": "correlation with the template",
    "slice_mm": "thickest voxel side (mm)",
}
TURNED = "fits the template better when turned: the header's orientation may be wrong"
BLUR_MM = 3.0


def measured(
    image: Array, mask: npt.NDArray[np.bool_], target: Template, volume_ml: float, slice_mm: float
) -> dict[str, float]:
    """Quality of one head on a coarse grid.

    Args:
        image: evened brightness of the brain on the template's grid, 0 outside.
        mask: its brain there.
        target: the template on that grid.
        volume_ml: of the brain in the head's own space.
        slice_mm: thickest side of a voxel of the head.

    Returns:
        ``overlap`` (Dice with the template's brain, in [0, 1]), ``volume_ml``, ``correlation``
        (with the template, both blurred, inside either brain), ``slice_mm``.
    """
    both = float((mask & target.brain).sum())
    either = mask | target.brain
    blur = BLUR_MM / target.grid.spacing_mm
    shown, expected = (gaussian_filter(values, blur)[either] for values in (image, target.t1))
    flat = min(float(shown.std()), float(expected.std())) < 1e-9
    correlation = 0.0 if flat else float(np.corrcoef(shown, expected)[0, 1])
    return {
        "overlap": round(2 * both / float(mask.sum() + target.brain.sum()), 4),
        "volume_ml": round(volume_ml, 1),
        "correlation": round(correlation, 4),
        "slice_mm": round(slice_mm, 2),
    }


def flags(quality: dict[str, Any], turned: bool) -> list[str]:
    """Reasons to look at a head, one line each; none where all is within `BOUNDS`."""
    reasons = [
        f"{WORDS[name]} must lie in {low:g}..{high:g}, got {quality[name]:g}"
        for name, (low, high) in BOUNDS.items()
        if not low <= quality[name] <= high
    ]
    return reasons + ([TURNED] if turned else [])
