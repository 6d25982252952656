"""Loading with the values that are stored, as data preparation puts them into stacks."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

from common.checks import require
from common.data.in_memory import NAME, as_values, as_volume, in_memory, with_meta
from common.data.nifti import load_voxels
from common.data.reading import reading
from common.data.stack_file import read_features, read_mask, stack_row

__all__ = ["LoadStoredd"]

HEADS = "brain_t1"  # kind of a preparation


class LoadStoredd(MapTransform):
    """Load a volume or a row of features as `StackDataset` returns it: float32, values as stored.

    For models trained on stacks of `data_prep openbhb`, whose grey-matter densities and
    intensities keep their unit; `LoadMedicalImaged` would scale them to [0, 1].

    An entry with "index" is that row of a stack; it is named after its "patient", where that is
    given. Any other is a NIfTI volume, which is brought into RAS order, or a ``.npy`` file. An
    array in the place of a path is taken as it lies, and keeps its metadata.

    For models trained on stacks of `data_prep brain_t1`, a NIfTI file or the list of a DICOM
    series' files is a raw head, and prepared as those were; what its quality says against it is
    told in "flags".

    Args:
        keys: entries to load.
        mask: ``mask.npy`` of the prepared folder or its content, where training used one: what lies
            outside becomes 0, and a row becomes a volume by ``volume[mask] = row``. "" for none.
        table: rows of features, ``(F,)``, not volumes ``(C, X, Y, Z)``.
        preparation: of the training data, as their manifest and ``model.json`` hold it.
        allow_missing_keys: pass over entries without the key.
    """

    def __init__(
        self,
        keys: KeysCollection = "image",
        mask: str | Path | npt.NDArray[np.bool_] = "",
        table: bool = False,
        allow_missing_keys: bool = False,
        preparation: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        file = isinstance(mask, str | Path)
        self.mask = (read_mask(Path(str(mask))) if str(mask) else None) if file else mask
        self.table = table
        self._prepare = _of_heads(preparation or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Replace each path by its values."""
        result = dict(data)
        for key in self.key_iterator(result):
            given = result[key]
            path = Path(NAME if in_memory(given) else str(given))
            stored = self._stored(given, path, result)
            with reading(path, "file of numbers"):
                values = torch.from_numpy(np.array(stored, np.float32))
            require(
                bool(torch.isfinite(values).all()),
                f"{path.name}: values must be finite, got NaN or infinity. Leave it out.",
            )
            values = values if self.table else self._volume(path, values)
            result[key] = with_meta(values, given)
        return result

    def _stored(self, given: Any, path: Path, result: dict[Hashable, Any]) -> npt.NDArray[Any]:
        """Read the values of an entry; what there is to tell of it goes into `result`."""
        if self._prepare is not None:
            result["flags"] = []
        if in_memory(given):
            values_only = self.table or np.ndim(given) == 1
            return as_values(given).reshape(-1) if values_only else as_volume(given)
        if result.get("index") is not None:
            result["name"] = str(result.get("patient", f"{path.name}[{result['index']}]"))
            return stack_row(path, int(result["index"]))
        if self.table:
            return read_features(path)
        if self._prepare is not None and path.suffix.lower() != ".npy":
            image, result["flags"] = self._prepare(given)
            return image
        if self._prepare is not None:
            with reading(path, ".npy file of numbers"):
                return np.asarray(np.load(path, allow_pickle=False))
        require(
            not isinstance(given, list),
            f"{result.get('name')}: must be a volume, prepared as the training images were, got a "
            "DICOM series. Prepare it with the source that the bundle's README names.",
        )
        return load_voxels(path)

    def _volume(self, path: Path, values: torch.Tensor) -> torch.Tensor:
        if self.mask is None:
            require(
                values.dim() in (3, 4),
                f"{path.name}: must hold volumes, got rows of shape {tuple(values.shape)}. Give "
                "--mask the mask.npy of the prepared folder.",
            )
            return values if values.dim() == 4 else values[None]
        mask = torch.from_numpy(self.mask)
        if values.dim() == 1 and len(values) == int(mask.sum()):
            return torch.zeros(mask.shape).masked_scatter(mask, values)[None]
        require(
            values.shape == mask.shape,
            f"{path.name}: must have the mask's shape {tuple(mask.shape)}, got "
            f"{tuple(values.shape)}. Bring it to the space of the training images.",
        )
        return values.masked_fill(~mask, 0)[None]


Head = tuple[npt.NDArray[np.float32], list[str]]  # an image, and what speaks against it


def _of_heads(preparation: Mapping[str, Any]) -> Callable[[Any], Head] | None:
    """How raw heads are prepared, where the training's were."""
    if preparation.get("kind") != HEADS:
        return None
    from common.data.brain_t1 import BrainPreparation

    return partial(_prepared, BrainPreparation.from_record(preparation))


def _prepared(preparation: Any, source: Any) -> Head:
    from common.data.brain_t1 import prepare_brain

    brain = prepare_brain(source, preparation)
    return brain.image, list(brain.flags)
