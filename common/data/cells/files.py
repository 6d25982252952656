"""Fields of view as a data set to predict on: a crop around each nucleus of each field."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from common.checks import InputError, require
from common.data.cells.crops import centred, cut
from common.data.cells.fields import Field, find_fields, read_field
from common.data.cells.nuclei import NUCLEUS_PX, find_nuclei
from common.data.cells.plate import PlateStandard, measure_plate, spread
from common.data.image_files import ImageFiles

__all__ = ["CellFiles"]

Entry = dict[str, Any]


class CellFiles(ImageFiles):
    """Files to predict on, of which fields of cells become a crop around each nucleus.

    What `find_fields` takes for a field is prepared as `data_prep.cells` does: the fields of one
    folder are a plate, whose light and brightness are measured first, then its nuclei are found.
    A nucleus is called ``<field>[<row>,<column>]`` after its place in pixels; one whose crop would
    leave the field is passed over. All else (ready crops as pictures, rows of a stack) is read as
    `ImageFiles` does.

    Args:
        source: as `ImageFiles` has it.
        transform: of what is no field.
        size: pixels of a crop's side, that of the training.
        nucleus: diameter of a nucleus in pixels, about.
        settings: further ones of `ImageFiles`.
    """

    def __init__(
        self, source: Any, transform: Any, size: int, nucleus: float = NUCLEUS_PX, **settings: Any
    ) -> None:
        super().__init__(source, transform, **settings)
        require(size >= 1, f"CellFiles: size must be at least 1, got {size}.")
        self.size = size
        self.nucleus = nucleus
        self.plates: dict[str, PlateStandard] = {}

    @cached_property
    def entries(self) -> Sequence[Entry]:
        """One for each field or other file; first of all the plates are measured."""
        entries = super().entries
        single = {entry["name"]: entry for entry in entries if _is_file(entry)}
        fields = find_fields([Path(name) for name in single], Path())
        taken = {path.as_posix() for field in fields for path in field.paths}
        listed = [e for e in entries if not _is_file(e) or e["name"] not in taken]
        by_plate: dict[Path, list[Field]] = defaultdict(list)
        for named in fields:
            known = [single[path.as_posix()] for path in named.paths]
            field = replace(named, paths=tuple(Path(entry["image"]) for entry in known))
            by_plate[field.paths[0].parent].append(field)
            paths = [str(path) for path in field.paths]
            listed.append({"image": paths, "name": field.name, "field": field})
        self.plates = {}
        for folder, own in by_plate.items():
            with suppress(InputError):  # none can be read, as each will tell
                self.plates[str(folder)] = measure_plate(_readable(own))
        return sorted(listed, key=lambda entry: str(entry["name"])) if fields else entries

    def __getitem__(self, index: int) -> list[Entry]:
        """Read a field: its nuclei, or one entry with the reason why there are none."""
        entry = dict(self.entries[index])
        field = entry.pop("field", None)
        if field is None:
            return super().__getitem__(index)
        entry = {**entry, "source": entry["image"], "slice": -1}
        try:
            for check in self.checks:
                entry = {**entry, **check(entry)}
            return self._cells(field, entry)
        except InputError as error:
            return [{**entry, "reason": str(error)}]

    def _cells(self, field: Field, entry: Mapping[str, Any]) -> list[Entry]:
        folder = str(field.paths[0].parent)
        pixels = self._prepared(field, folder)
        centres = centred(find_nuclei(pixels[0], self.nucleus), pixels.shape, self.size)
        require(
            len(centres) > 0,
            f"{entry['name']}: must show a nucleus whose crop of {self.size} pixels lies inside, "
            "got none. Check the order of the stains and the diameter of a nucleus.",
        )
        eight_bits = np.rint(pixels * 255) / np.float32(255)
        return [
            {
                **entry,
                "name": f"{entry['name']}[{row},{column}]",
                "image": torch.from_numpy(cut(eight_bits, np.array([row, column]), self.size)),
            }
            for row, column in centres.tolist()
        ]

    def _prepared(self, field: Field, folder: str) -> npt.NDArray[np.float32]:
        pixels = read_field(field)
        require(folder in self.plates, f"{field.name}: no field of its plate can be read.")
        return self.plates[folder].apply(pixels)

    def _has_many(self, entry: Entry) -> bool:
        return "field" in entry or super()._has_many(entry)


def _is_file(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("image"), str) and not {"index", "slice", "reason"} & set(entry)


def _readable(fields: Sequence[Field]) -> Iterator[npt.NDArray[np.uint16]]:
    """The fields that a plate is measured on."""
    for field in spread(fields):
        with suppress(InputError):
            yield read_field(field)
