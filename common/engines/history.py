"""Epoch means of everything the engine outputs, kept as JSON for the report."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from common.checks import require
from common.files import read_json, replacing

__all__ = ["History"]


class History:
    """``{"epoch": [1, ...], "terms": {name: [mean, ...]}}`` of a run, written after each epoch.

    Args:
        path: the JSON file; its folder is made when needed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.epochs: list[int] = []
        self.terms: dict[str, list[float]] = {}
        self._values: dict[str, list[float]] = {}
        self._noted: dict[str, list[float | Tensor]] = {}

    def state_dict(self) -> dict[str, list[float]]:
        """Return what was noted of the epoch that is not at its end."""
        self._read()
        return self._values

    def load_state_dict(self, state: Mapping[str, list[float]]) -> None:
        """Restore what `state_dict` returned."""
        self._values = {name: [*values] for name, values in state.items()}

    def resume(self, epochs: int) -> None:
        """Keep the first `epochs` that the file holds.

        Raises:
            InputError: it does not hold as many.
        """
        if epochs == 0:  # killed within the first: there may be no file
            return
        cure = "Delete the folder of the run and train anew."
        kept = read_json(self.path, cure)
        terms = kept.get("terms")
        lists = [kept.get("epoch"), *(terms.values() if isinstance(terms, dict) else [None])]
        require(
            all(_holds_numbers(values, epochs) for values in lists)
            and kept["epoch"][:epochs] == [*range(1, epochs + 1)],
            f"{self.path}: must hold epoch and terms of {epochs} epochs, a finite number each, got "
            f"something else. {cure}",
        )
        self.epochs = kept["epoch"][:epochs]
        self.terms = {name: values[:epochs] for name, values in kept["terms"].items()}

    def add(self, output: Mapping[str, float | Tensor]) -> None:
        """Note the terms of one iteration, which may be on a device still."""
        for name, value in output.items():
            self._noted.setdefault(name, []).append(value)
        if not any(isinstance(value, Tensor) for value in output.values()):
            self._read()

    def _read(self) -> None:
        """Read at once what is noted and on a device."""
        waiting = [v for values in self._noted.values() for v in values if isinstance(v, Tensor)]
        numbers = iter(
            torch.stack([v.detach().double() for v in waiting]).tolist() if waiting else []
        )
        for name, values in self._noted.items():
            read = [next(numbers) if isinstance(v, Tensor) else float(v) for v in values]
            self._values.setdefault(name, []).extend(read)
        self._noted = {}

    def end_epoch(self, epoch: int, write: bool) -> None:
        """Take the means of the epoch and, where this process writes, replace the file."""
        self._read()
        self.epochs.append(epoch)
        for name, values in self._values.items():
            self.terms.setdefault(name, []).append(math.fsum(values) / len(values))
        self._values = {}
        if write:
            text = json.dumps({"epoch": self.epochs, "terms": self.terms}, indent=1)
            with replacing(self.path) as partial:
                partial.write_text(text + "\n")


def _holds_numbers(values: object, count: int) -> bool:
    """Whether it is a list of at least `count` finite numbers."""
    return (
        isinstance(values, list)
        and len(values) >= count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )
