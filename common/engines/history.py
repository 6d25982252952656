"""Epoch means of everything the engine outputs, kept as JSON for the report."""

import json
import math
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events

from common.distributed import rank
from common.files import replacing

__all__ = ["History"]


class History:
    """A handler that writes ``{"epoch": [1, ...], "terms": {name: [mean, ...]}}`` after each epoch.

    A resumed run keeps the epochs before the one it resumes from. Only rank 0 writes.

    Args:
        path: the JSON file; its folder is made when needed.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.epochs: list[int] = []
        self.terms: dict[str, list[float]] = {}
        self._sums: dict[str, list[float]] = {}

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._write)

    def _continue(self, done: int) -> None:
        if self.path.is_file():
            kept = json.loads(self.path.read_text())
            self.epochs = kept["epoch"][:done]
            self.terms = {name: values[:done] for name, values in kept["terms"].items()}

    def _add(self, engine: Engine) -> None:
        state: Any = engine.state
        for name, value in state.output[0].items():
            self._sums.setdefault(name, []).append(value)

    def _write(self, engine: Engine) -> None:
        if not self.epochs and engine.state.epoch > 1:
            self._continue(engine.state.epoch - 1)
        self.epochs.append(engine.state.epoch)
        for name, values in self._sums.items():
            self.terms.setdefault(name, []).append(math.fsum(values) / len(values))
        self._sums = {}
        if rank() == 0:
            text = json.dumps({"epoch": self.epochs, "terms": self.terms}, indent=1)
            with replacing(self.path) as partial:
                partial.write_text(text + "\n")
