"""Loading as the network sees an image, for MONAI pipelines."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform
from monai.utils import ensure_tuple
from PIL import Image

from common.checks import require
from common.data.fundus import cut_fundus, read_fundus
from common.data.image import is_picture, is_volume
from common.data.in_memory import NAME, holds_volume, in_memory, with_meta
from common.data.load import LoadMedicalImaged
from common.data.photo import read_photo, square
from common.data.picture import to_rgb
from common.data.prepare import Preparation, fit, store
from common.data.reading import check_shown
from common.data.stack_file import stack_row

__all__ = ["PrepareImaged"]

RGB = 3


class PrepareImaged(MapTransform):
    """Path to float32 (C, size, size) in [0, 1]: the one way of `common.data.prepare`.

    A raw file and what `data_prep` made of it give the same numbers, if `preparation` is that of
    the data. A path, or a list of paths (grey channels), is read as `LoadMedicalImaged` does; an
    entry with "index" is that row of a stack of `data_prep`. An array in the place of a path is
    prepared as the content of a file would be (`common.data.in_memory`), and keeps its metadata.
    An entry with "facts" (a dict, `common.deploy`) gets there what a picture that is read as grey
    tells beside it (`common.data.read_image`).

    Args:
        keys: entries to load.
        size: pixels of a side.
        preparation: fields of a `common.data.prepare.Preparation`, as `read_preparation` gives
            them; None for grey images as they are.
        masks: entries that are masks, which may be missing: resized as the images are, and allowed
            to be black.
        channels: 3 for RGB whatever the file holds; None for as many as it has.
        volumes: whether a slice of a volume is read, as `LoadMedicalImaged` does; no slice is a
            film or a photograph.

    Raises:
        InputError: when called: what the reader cannot read, an image that shows nothing, or a
            volume where none is read.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        size: int = 224,
        preparation: Mapping[str, Any] | None = None,
        masks: KeysCollection = (),
        channels: int | None = None,
        volumes: bool = True,
    ) -> None:
        super().__init__(keys)
        require(size >= 1, f"PrepareImaged: size must be >= 1, got {size}.")
        require(
            channels in (None, 3), f"PrepareImaged: channels must be 3 or None, got {channels}."
        )
        self.size = size
        self.preparation = Preparation(**(preparation or {}))
        self.masks = ensure_tuple(masks)
        self.channels = channels
        self.volumes = volumes
        self._load = LoadMedicalImaged()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its pixels."""
        result = dict(data)
        for key in self.keys:
            told: dict[str, Any] | None = {} if "facts" in result else None
            image = self._stored(result[key], result, told)
            check_shown(image, _name(result[key]))
            if self.channels == 3 and len(image) == 1:
                image = np.repeat(image, 3, axis=0)
            result[key] = with_meta(torch.from_numpy(fit(image, self.size)), result[key])
            if told:
                result["facts"] = {**result["facts"], **told}
        for key in self.masks:
            if key in result:
                mask = self._load.read(result[key], result.get("slice"))
                result[key] = torch.from_numpy(fit(mask, self.size))
        return result

    def _stored(
        self, path: Any, entry: Mapping[Hashable, Any], told: dict[str, Any] | None
    ) -> npt.NDArray[np.float32]:
        """Read an image in the form in which it is stored, (C, H, W)."""
        require(
            self.volumes or not _is_volume(path),
            f"{_name(path)}: must be a 2D image, as the training images were, got a volume. Leave "
            "it out.",
        )
        index = entry.get("slice")
        if entry.get("index") is not None and not in_memory(path):
            return read_row(Path(str(path)), int(entry["index"]))
        if self.preparation.kind == "grey":
            return store(self._load.read(path, index, told), self.preparation)
        pixels = self._colour(path, index, self.preparation.size or self.size)
        return np.moveaxis(pixels, -1, 0).astype(np.float32) / np.float32(255)

    def _colour(self, path: Any, index: int | None, size: int) -> npt.NDArray[np.uint8]:
        """Read ``(size, size, 3)`` in 0..255."""
        fundus = self.preparation.kind == "fundus"
        if fundus and not in_memory(path):
            return read_fundus(str(path), size)[0]
        if not in_memory(path) and is_picture(str(path)):
            return read_photo(str(path), size)
        pixels = np.rint(self._load.read(path, index) * 255).astype(np.uint8)
        colour = np.moveaxis(pixels[:3], 0, -1) if len(pixels) >= RGB else pixels[0]
        picture = to_rgb(Image.fromarray(np.ascontiguousarray(colour)))
        return cut_fundus(picture, size, NAME)[0] if fundus else square(picture, size)


def _is_volume(value: Any) -> bool:
    """Whether a path, the first of some, or an array is of a volume."""
    if in_memory(value):
        return holds_volume(value)
    return is_volume(value[0] if isinstance(value, list | tuple) else str(value))


def _name(value: Any) -> str:
    """What an error calls an image."""
    if in_memory(value):
        return NAME
    first = value if isinstance(value, str | Path) else value[0]
    return Path(str(first)).name


def read_row(path: Path, index: int) -> npt.NDArray[np.float32]:
    """Read one image of a stack ``(N, H, W)`` or ``(N, H, W, C)``, (C, H, W) in [0, 1]."""
    stored = stack_row(path, index)
    require(
        stored.ndim in (2, 3) and stored.dtype in (np.uint8, np.uint16),
        f"{path.name}: must be a stack of 2D images of bytes, got {stored.dtype} of shape "
        f"{stored.shape}. Prepare the images with the source that the bundle's README names.",
    )
    row = stored.astype(np.float32) / np.float32(np.iinfo(stored.dtype).max)
    return row[None] if row.ndim == 2 else np.moveaxis(row, -1, 0)
