"""Epoch means of everything the engine outputs, kept as JSON for the report."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

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

    def resume(self, epochs: int) -> None:
        """Keep the first `epochs` that the file holds.

        Raises:
            InputError: it does not hold as many.
        """
        cure = "Delete the folder of the run and train anew."
        kept = read_json(self.path, cure)
        terms = kept.get("terms")
        whole = isinstance(kept.get("epoch"), list) and isinstance(terms, dict)
        lengths = [len(values) for values in terms.values()] if whole else []  # type: ignore[union-attr]
        require(
            whole and all(length >= epochs for length in (len(kept["epoch"]), *lengths)),
            f"{self.path}: must hold epoch and terms of {epochs} epochs, got fewer. {cure}",
        )
        self.epochs = kept["epoch"][:epochs]
        self.terms = {name: values[:epochs] for name, values in kept["terms"].items()}

    def add(self, output: Mapping[str, float]) -> None:
        """Note the terms of one iteration."""
        for name, value in output.items():
            self._values.setdefault(name, []).append(value)

    def end_epoch(self, epoch: int, write: bool) -> None:
        """Take the means of the epoch and, where this process writes, replace the file."""
        self.epochs.append(epoch)
        for name, values in self._values.items():
            self.terms.setdefault(name, []).append(math.fsum(values) / len(values))
        self._values = {}
        if write:
            text = json.dumps({"epoch": self.epochs, "terms": self.terms}, indent=1)
            with replacing(self.path) as partial:
                partial.write_text(text + "\n")
