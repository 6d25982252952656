"""Loading of photographs for MONAI pipelines."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from PIL import Image

from common.data.image import PICTURES
from common.data.load import LoadMedicalImaged
from common.data.photo import read_photo, square

__all__ = ["LoadPhotod"]


class LoadPhotod(LoadMedicalImaged):
    """Load pictures in colour: path to float32 (3, size, size) in [0, 1], as ``data_prep`` does.

    A DICOM film or a slice of a volume is read as `LoadMedicalImaged` does and becomes a grey RGB
    image.

    Args:
        keys: entries to load.
        size: pixels of a side: the shorter side is scaled to it and the middle cut out.
        allow_missing_keys: pass over entries without the key.
    """

    def __init__(
        self, keys: KeysCollection = "image", size: int = 32, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, spatial_dims=2, allow_missing_keys=allow_missing_keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its pixels."""
        result = dict(data)
        for key in self.key_iterator(result):
            pixels = self._pixels(str(result[key]), result.get("slice"))
            result[key] = torch.from_numpy(pixels).movedim(-1, 0).float() / 255
        return result

    def _pixels(self, path: str, index: int | None) -> npt.NDArray[np.uint8]:
        """Read ``(size, size, 3)`` in 0..255."""
        if path.lower().endswith(PICTURES):
            return read_photo(path, self.size)
        grey = np.rint(self._read(path, index)[0] * 255).astype(np.uint8)
        return square(Image.fromarray(grey), self.size)
