"""Loading of fundus photographs for MONAI pipelines."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection

from common.data.fundus import read_fundus
from common.data.load import LoadMedicalImaged

__all__ = ["LoadFundusd"]


class LoadFundusd(LoadMedicalImaged):
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
        super().__init__(keys, spatial_dims=2, allow_missing_keys=allow_missing_keys)
        self.size = size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its pixels."""
        result = dict(data)
        for key in self.key_iterator(result):
            pixels, _ = read_fundus(str(result[key]), self.size)
            result[key] = torch.from_numpy(pixels).movedim(-1, 0).float() / 255
        return result
