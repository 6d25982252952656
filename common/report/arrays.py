"""Reading archives of arrays that an evaluation left in a run folder."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError
from common.report.fields import CURE

__all__ = ["read_arrays"]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by name.

    Raises:
        InputError: the file is missing, damaged, or holds pickles.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        reason = str(error).replace("\n", " ")
        raise InputError(
            f"{path}: must be an npz file without pickles: {reason}. {CURE}"
        ) from error
