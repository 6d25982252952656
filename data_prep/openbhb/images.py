"""Rows and volumes of OpenBHB: where a modality lies, and one subject's values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from common.checks import require
from common.data.nifti import load_voxels
from common.data.stack_file import read_features
from data_prep.openbhb.mask import Mask
from data_prep.openbhb.tables import Subject

__all__ = ["MODALITIES", "Image", "Modality", "read_row"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Modality:
    """Where the challenge keeps one kind of image.

    Args:
        start: first value in a row of the challenge.
        size: number of values.
        suffix: of the file of one subject, after ``sub-<id>_``.
        mask: file name of the mask's image, none for tables.
        threshold: the mask is where that image is greater.
    """

    start: int
    size: int
    suffix: str
    mask: str = ""
    threshold: float = 0.0

    @property
    def spatial(self) -> bool:
        """Whether the values are the voxels of a volume."""
        return bool(self.mask)


TPM = "cat12vbm_space-MNI152_desc-gm_TPM.nii.gz"  # probability of grey matter
TEMPLATE = "quasiraw_space-MNI152_desc-brain_T1w.nii.gz"

# the order of the blocks: preprocessing.py of the challenge's starting kit
MODALITIES = {
    "vbm": Modality(0, 519_945, "preproc-cat12vbm_desc-gm_T1w", TPM, 0.05),
    "quasiraw": Modality(519_945, 1_827_095, "preproc-quasiraw_T1w", TEMPLATE, 0.0),
    "xhemi": Modality(2_347_040, 1_310_736, "preproc-freesurfer_desc-xhemi_T1w"),
    "vbm_roi": Modality(3_657_776, 284, "preproc-cat12vbm_desc-gm_ROI"),
    "desikan": Modality(3_658_060, 476, "preproc-freesurfer_desc-desikan_ROI"),
    "destrieux": Modality(3_658_536, 1_036, "preproc-freesurfer_desc-destrieux_ROI"),
}


@dataclass(frozen=True)
class Image:
    """What to read of each subject.

    Args:
        modality: key of `MODALITIES`.
        mask: None for tables and for volumes kept whole.
        shape: of a row; () takes the shape that is found.
    """

    modality: str
    mask: Mask | None
    shape: tuple[int, ...] = ()


def read_row(
    subject: Subject, image: Image, mask: npt.NDArray[np.bool_] | None, dtype: str
) -> Array:
    """One subject's values, as they are stored.

    Returns:
        ``image.shape``, of type `dtype`.

    Raises:
        InputError: unreadable, of another shape, not finite, black, or too large for `dtype`.
    """
    modality = MODALITIES[image.modality]
    if subject.row is not None:
        values = _challenge_row(subject.path, subject.row, modality)
    elif modality.spatial:
        volume = load_voxels(subject.path)
        require(
            mask is None or volume.shape == mask.shape,
            f"{subject.path.name}: volume must have the mask's shape "
            f"{None if mask is None else mask.shape}, got {volume.shape}. Pass its own --mask.",
        )
        values = volume if mask is None else volume[mask]
    else:
        values = read_features(subject.path)
    require(
        not image.shape or values.shape == image.shape,
        f"{subject.path.name}: must hold {image.shape} values as the other subjects, "
        f"got {values.shape}.",
    )
    return _converted(values, dtype, subject, modality)


def _converted(values: Array, dtype: str, subject: Subject, modality: Modality) -> Array:
    require(
        bool(np.isfinite(values).all()),
        f"{subject.patient}: values must be finite, got NaN or infinity. Leave the subject out.",
    )
    require(
        not modality.spatial or bool(values.any()),
        f"{subject.patient}: must hold an image, got nothing but zeros. Leave the subject out.",
    )
    largest = float(np.abs(values).max())
    require(
        largest <= float(np.finfo(dtype).max),
        f"{subject.patient}: values must fit {dtype}, got {largest:g}. Pass --dtype float32.",
    )
    return np.asarray(values, dtype)


def _challenge_row(path: Path, row: int, modality: Modality) -> Array:
    """A block of one row; the map is closed with each row, so that memory does not grow."""
    stack = np.lib.format.open_memmap(path, mode="r")
    return np.array(stack[row, modality.start : modality.start + modality.size])
