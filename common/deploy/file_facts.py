"""What a file tells of itself by its header, and an image by its grey values.

`file_facts` reads what a header says without its pixels, and nothing that identifies a patient,
`array_facts` what the shape of an array in memory says; whether a picture shows colours its reader
tells (`common.data.PrepareImaged`), which decodes it once;
`image_facts` measures an image as the network sees it. `common.deploy.expected` compares both with
those of the training images.
"""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.checks import InputError
from common.data.image import image_kind
from common.data.in_memory import CHANNELS, WIDEST
from common.data.picture import COLOUR
from common.data.reading import reading

__all__ = ["TELLING", "array_facts", "file_facts", "image_facts"]

TELLING = ("body_part", "view")  # of a header, beside the modality
DIMS = {"picture": 2, "volume": 3}
SLICES = ("MR", "CT", "PT", "NM")  # modalities of which a file may be a slice of a volume
ENOUGH = 48  # voxels a side to look at; of larger volumes the others are left out


def file_facts(path: str | Path) -> dict[str, Any]:
    """Read what the header of a file tells, without its pixels.

    Returns:
        ``kind`` ("dicom", "picture", "volume", or "" where it is none), and where they are told:
        ``dims`` (2 or 3), ``modality``, ``body_part``, ``view`` (allow-lists, see
        `common.data.dicom_facts`), ``age`` (years), ``colour`` (bool, of DICOM). What cannot be
        read is left to the reader to tell.
    """
    kind = image_kind(path)
    try:
        if kind == "dicom":
            return _of_dicom(Path(path))
    except InputError:
        return {"kind": ""}
    return {"kind": kind, **({"dims": DIMS[kind]} if kind else {})}


def array_facts(value: Any) -> dict[str, Any]:
    """Return what an array tells by its shape, which has no header: ``dims``, and ``colour``.

    Args:
        value: as `common.data.in_memory` takes it; of any other shape its reader tells.
    """
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if array.ndim == 4:
        return {"kind": "array", "dims": 3}
    if array.ndim != 3:
        return {"kind": "array", "dims": 2} if array.ndim == 2 else {}
    axis = next((axis for axis in (0, 2) if array.shape[axis] <= CHANNELS), None)
    if axis is None:
        return {"kind": "array", "dims": 3}
    colours = np.moveaxis(array, axis, -1)[..., :3].astype(np.float64)
    scale = WIDEST.get(array.dtype, 1)
    colour = colours.shape[-1] == 3 and float(np.ptp(colours, axis=2).mean()) / scale > COLOUR
    return {"kind": "array", "dims": 2, "colour": colour}


def image_facts(x: NDArray[np.floating[Any]]) -> dict[str, float]:
    """Measure the grey values of an image as the network sees it.

    Args:
        x: ``(C, *spatial)``, finite; the mean over the channels is measured.

    Returns:
        ``mean``, ``contrast`` (standard deviation); of the range of values: ``black`` and ``white``
        (share of the lowest and highest fiftieth), ``middle`` (mean of the middle half of each
        axis less that of the border, in standard deviations), ``detail`` (mean step between
        neighbours, in standard deviations), ``mirror`` (correlation with the image mirrored along
        its last axis in 2D, its first in 3D: left and right). Empty for a row of features.
    """
    if x.ndim < 3:
        return {}
    if x.ndim == 4:
        x = x[(slice(None), *(slice(None, None, max(1, n // ENOUGH)) for n in x.shape[1:]))]
    grey = np.asarray(x, np.float64).mean(axis=0)
    low, high, mean = float(grey.min()), float(grey.max()), float(grey.mean())
    centred = grey - mean
    spread = math.sqrt(float((centred**2).mean()))
    if low == high:
        return {"mean": mean, "contrast": 0.0}
    fiftieth = (high - low) / 50
    inner = centred[tuple(slice(n // 4, n - n // 4) for n in grey.shape)]
    border = -float(inner.sum()) / max(1, grey.size - inner.size)  # all of them sum up to 0
    steps = [np.abs(np.diff(grey, axis=axis)).mean() for axis in range(grey.ndim)]
    mirrored = np.flip(centred, axis=-1 if grey.ndim == 2 else 0)
    return {
        "mean": mean,
        "contrast": spread,
        "black": float((grey < low + fiftieth).mean()),
        "white": float((grey > high - fiftieth).mean()),
        "middle": (float(inner.mean()) - border) / spread,
        "detail": float(np.mean(steps)) / spread,
        "mirror": float((centred * mirrored).mean()) / spread**2,
    }


def _of_dicom(path: Path) -> dict[str, Any]:
    from common.data.dicom import facts_of, open_dicom  # pydicom, for those who need it

    with reading(path, "DICOM file"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = open_dicom(path, pixels=False)
        facts = facts_of(data)
        kept = {name: facts[name] for name in (*TELLING, "modality", "age") if name in facts}
        kept.setdefault("modality", "OT")
        colour = int(data.get("SamplesPerPixel") or 1) == 3
    dims = {} if kept["modality"] in SLICES else {"dims": 2}
    return {"kind": "dicom", **dims, "colour": colour, **kept}
