"""Loading of fundus photographs for MONAI pipelines."""

import numpy as np
import numpy.typing as npt
from monai.config import KeysCollection

from common.data.fundus import read_fundus
from common.data.load_photo import LoadPhotod

__all__ = ["LoadFundusd"]


class LoadFundusd(LoadPhotod):
    """Load fundus photographs: path to float32 (3, size, size) in [0, 1], as ``data_prep`` does.

    The field of view is found, cut out and padded square (`common.data.fundus`); a picture that
    was prepared already stays as it is.

    Args:
        keys: entries to load.
        size: pixels of a side.
        allow_missing_keys: pass over entries without the key.
    """

    def __init__(
        self, keys: KeysCollection = "image", size: int = 256, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, size, allow_missing_keys)

    def _pixels(self, path: str, index: int | None) -> npt.NDArray[np.uint8]:
        return read_fundus(path, self.size)[0]
