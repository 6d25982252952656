"""Loading for MONAI pipelines."""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Transform

from common.checks import require
from common.data.image import is_volume, read_image
from common.data.in_memory import as_image, best_slice, in_memory, with_meta
from common.data.nifti import axial_slice

__all__ = ["EmptyMaskd", "LoadMedicalImaged"]

CACHED_VOLUMES = 4  # as many as one patient has modalities


class LoadMedicalImaged(MapTransform):
    """Load images with `read_image`: path or list of paths (channels) to float32 (C, *spatial).

    A NIfTI volume with ``spatial_dims=2`` is read at the entry's ``slice``; for other images it is
    not looked at. An entry without "slice", as another program gives it, is read at the slice that
    is least black. The last four volumes are kept, so that consecutive slices of one patient decode
    it once. An array in the place of a path is taken as it lies (`common.data.in_memory`), and
    keeps its metadata.

    Args:
        keys: entries to load.
        spatial_dims: 2 or 3, what the loaded image must have.
        allow_missing_keys: pass over entries without the key.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        spatial_dims: int = 2,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spatial_dims = spatial_dims
        self._volumes: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its pixels in [0, 1]."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = torch.from_numpy(self.read(result[key], result.get("slice")))
            result[key] = with_meta(image, result[key])
        return result

    def read(
        self, value: Any, index: int | None = None, told: dict[str, Any] | None = None
    ) -> npt.NDArray[np.float32]:
        """Read a path, or a list of paths as channels, or an array: (C, *spatial) in [0, 1].

        Args:
            value: the path, paths or array.
            index: of a slice of a volume.
            told: as `read_image` fills it.
        """
        if in_memory(value):
            return as_image(value, self.spatial_dims, index)
        paths = [str(value)] if not isinstance(value, list | tuple) else [str(p) for p in value]
        channels = [self._read(path, index, told) for path in paths]
        shapes = {channel.shape[1:] for channel in channels}
        require(
            len(shapes) == 1,
            f"{paths[0]}: all channels must have one shape, got {sorted(shapes)}. "
            "Give images of the same patient and grid.",
        )
        return channels[0] if len(channels) == 1 else np.concatenate(channels)

    def _read(
        self, path: str, index: int | None, told: dict[str, Any] | None
    ) -> npt.NDArray[np.float32]:
        if is_volume(path):
            volume = self._volume(path)
            if self.spatial_dims == 3:
                return volume[None]
            number = best_slice(volume) if index is None else int(index)
            require(
                number >= 0,
                f"{path}: a volume read in 2D must have a slice less than 80 % black, got none. "
                "List its slices with common.data.image_datalist.",
            )
            return np.ascontiguousarray(axial_slice(volume, number)[None])
        require(
            self.spatial_dims == 2, f"{path}: must be a NIfTI volume for spatial_dims=3, got 2D."
        )
        return read_image(path, told=told)

    def _volume(self, path: str) -> npt.NDArray[np.float32]:
        volume = self._volumes.get(path)  # threads share the cache, so nothing is read back from it
        if volume is None:
            volume = self._volumes[path] = read_image(path)[0]
            if len(self._volumes) > CACHED_VOLUMES:
                self._volumes.popitem(last=False)
        return volume


class EmptyMaskd(Transform):
    """Give entries without "mask" an all-zero one, ``(1, *spatial)``, so that batches collate."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the entry with a "mask" of the shape of its image's first channel."""
        return {"mask": torch.zeros_like(data["image"][:1]), **data}
