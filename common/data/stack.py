"""A dataset of stacks: memory-mapped rows, a whole batch at a time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from common.checks import require
from common.data.manifest import PARTS, read_manifest
from common.data.prior import image_key, image_keys, read_prior
from common.data.rows import Rows, coded, numbers
from common.data.stack_file import CHANNELS_NDIM, open_stack, read_mask

__all__ = ["StackDataset", "as_batch"]

Batch = dict[str, Any]
RGB = 3


def as_batch(batch: Batch) -> Batch:
    """Return the batch as it is: the ``collate_fn`` for datasets with ``__getitems__``."""
    return batch


class StackDataset(Dataset[Batch]):
    """One part of a prepared folder whose images lie in stacks.

    Rows are read through a memory map that each process opens for itself, so that worker processes
    (forked or spawned) share the system's file cache and nobody holds the set. Use it with
    ``DataLoader(dataset, batch_size=..., collate_fn=common.data.as_batch)``: PyTorch then asks for
    whole batches.

    A row of a masked stack becomes ``volume[mask] = row``: the mask's own axes, in C order, without
    a transpose. Differs from the reader released with the brain-age papers, which transposes the
    axes (2, 0, 1) before it reshapes and so scrambles the volume: the correlation of neighbouring
    voxels along one axis falls from .98 to .57.

    Args:
        dataset_dir: folder of the manifest.
        part: "training", "validation" or "test".
        columns: keys of the entries to return beside the image; "image_key" is what a table of
            priors calls the image (`common.data.with_prior`), "position" its number in this
            dataset, from 0.
        prior: such a table, returned as the column "prior" ``(B, P)``; "" for none.

    Attributes:
        entries: the part's entries as the manifest has them, in the order of the dataset.

    Raises:
        InputError: a bad manifest, an unknown part, entries without ``index``, an unknown column,
            stacks of different shapes, or a table of other images.
    """

    def __init__(
        self,
        dataset_dir: str | Path,
        part: str,
        columns: Sequence[str] = ("label",),
        prior: str | Path = "",
    ) -> None:
        require(
            part in PARTS, f"StackDataset: part must be one of {', '.join(PARTS)}, got {part!r}."
        )
        manifest = read_manifest(dataset_dir)
        self.entries: Sequence[dict[str, Any]] = manifest[part]
        where = f"{dataset_dir}: {part}"
        index = numbers(self.entries, "index")
        require(
            not np.isnan(index).any(),
            f"{where}: every entry must hold index, got one image per file. "
            "Read them with common.data.LoadMedicalImaged.",
        )
        self._file, files = coded(self.entries, "image")
        self._row = index.astype(np.int64)
        self._paths = [Path(dataset_dir) / file for file in files]
        self._columns = {name: _column(self.entries, name, where) for name in columns}
        if str(prior):
            keys = [image_key(entry) for entry in self.entries]
            self._columns["prior"] = torch.from_numpy(read_prior(prior, keys, dataset_dir))
        self._mask: npt.NDArray[np.bool_] | None = None
        if "mask" in manifest:
            self._mask = read_mask(Path(dataset_dir) / manifest["mask"])
        self._maps: list[npt.NDArray[Any]] | None = None
        shapes = {(stack.shape[1:], str(stack.dtype)) for stack in self._stacks()}
        require(
            len(shapes) <= 1,
            f"{where}: all stacks must have one shape and type, got {sorted(shapes)}. "
            "Prepare the data again with python -m data_prep.",
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """What a batch holds beside the image."""
        return tuple(self._columns)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.entries)

    def __getitem__(self, index: int) -> Batch:
        """Return one image, float32 (C, *spatial), and its columns: a number, a text, a prior (P,).

        Pixels of type uint8 are divided by 255; floats are left as they are. A row of features
        (without a mask) is (F,).
        """
        count = len(self)
        if not -count <= index < count:
            raise IndexError(f"StackDataset: index must lie in 0..{count - 1}, got {index}.")
        return {key: values[0] for key, values in self.__getitems__([index % count]).items()}

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Return the batch of `indices`: image (B, C, *spatial) float32, and (B,) per column.

        Integer columns are int64 with -1 where the value is missing, others float32 with NaN
        (``age`` always); a column of texts is a list.
        """
        chosen = np.asarray(indices, np.int64)
        batch: Batch = {"image": self._images(chosen)}
        for name, values in self._columns.items():
            if isinstance(values, list):
                batch[name] = [values[i] for i in chosen]
            elif isinstance(values, Tensor):
                batch[name] = values[chosen]
            else:
                batch[name] = [
                    "" if text is None else text for text in values.take(chosen).to_pylist()
                ]
        return batch

    def __getstate__(self) -> dict[str, Any]:
        """Leave the memory maps out: pickled, they would carry the whole set to a worker."""
        return {**self.__dict__, "_maps": None}

    def _stacks(self) -> list[npt.NDArray[Any]]:
        if self._maps is None:
            self._maps = [open_stack(path) for path in self._paths]
        return self._maps

    def _images(self, chosen: npt.NDArray[np.int64]) -> Tensor:
        """Read the rows of each stack at once and bring them into shape."""
        stacks, files, rows = self._stacks(), self._file[chosen], self._row[chosen]
        present = np.unique(files)
        if len(present) == 1:
            raw = np.asarray(stacks[present[0]][rows])
        else:
            raw = np.empty((len(chosen), *stacks[0].shape[1:]), stacks[0].dtype)
            for file in present:
                places = files == file
                raw[places] = stacks[file][rows[places]]
        if self._mask is not None:
            volumes = np.zeros((len(chosen), 1, *self._mask.shape), np.float32)
            volumes[:, 0, self._mask] = raw
            return torch.from_numpy(volumes)
        image = torch.from_numpy(raw)
        if image.dtype == torch.uint16:
            image = image.to(torch.float32)[:, None]
            return image.div_(65535)
        if image.dtype != torch.uint8:
            return image.float() if image.ndim in (2, CHANNELS_NDIM) else image.float()[:, None]
        if image.ndim == 4 and image.shape[-1] == RGB:
            image = image.movedim(-1, 1).contiguous()
        else:
            image = image[:, None]
        return image.float().div_(255)


def _column(entries: Sequence[dict[str, Any]], name: str, where: str) -> Any:
    """The values of one column: int64 (-1: missing), float32 (NaN: missing) or texts.

    Texts of `Rows` stay an array of Arrow's, which no process copies.
    """
    if name == "position":
        return torch.arange(len(entries))
    if name == "image_key":
        if isinstance(entries, Rows):
            return image_keys(entries)
        return [image_key(entry) for entry in entries]
    if isinstance(entries, Rows) and entries.kind(name) == "text":
        return entries.array(name)
    values = [entry.get(name) for entry in entries]
    given = [value for value in values if value is not None]
    require(
        bool(given) or not entries,
        f"{where}: column {name!r} must be in its entries, got none. "
        f"Choose of {', '.join(sorted(entries[0])) if entries else 'none'}.",
    )
    if all(isinstance(value, str) for value in given) and given:
        return ["" if value is None else str(value) for value in values]
    require(
        all(isinstance(value, int | float) for value in given),
        f"{where}: column {name!r} must hold numbers or texts, got something else. "
        "Choose another column.",
    )
    if name != "age" and all(isinstance(value, int) for value in given):
        return torch.tensor([-1 if value is None else value for value in values])
    missing = float("nan")
    return torch.tensor([missing if value is None else float(value) for value in values])
