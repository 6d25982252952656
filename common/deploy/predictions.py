"""Inference output: ``predictions.csv`` and ``embeddings.npz``."""

import csv
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from common.checks import require
from common.deploy.model_file import LoadModel
from common.files import replacing
from common.networks import ImageClassifier
from common.text import cell, plain

__all__ = ["SavePredictions"]

_LOG = logging.getLogger(__name__)


class SavePredictions:
    """A handler of an inference evaluator; writes once all images are done.

    ``predictions.csv`` has a row per image: file, slice (empty unless the image is a slice of a
    volume), and the probability of each class. ``embeddings.npz`` holds "h" ``(N, F)``, "name" (the
    file) and "slice" (-1 unless a slice of a volume) in the same order. ``skipped.csv``, where
    files could not be read, lists them with the reason. Names are written as `common.text.cell`
    makes them: no formula, no control character.

    Args:
        output_dir: folder for the files.
        network: the classifier; its encoder's output is the embedding.
        classes: names of the classes, one per output of the network.
        dataset: the data set read from; its ``skipped`` list of (file, reason), if any, is written.
        model: who loaded the network; where the head was never fitted there is no
            ``predictions.csv``, and a line says so.

    Raises:
        InputError: not one name for each output of the network.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: ImageClassifier,
        classes: Sequence[str],
        dataset: Any = None,
        model: LoadModel | None = None,
    ) -> None:
        outputs = network.head.out_features
        require(
            len(classes) == outputs,
            f"{type(self).__name__}: classes must name each of {outputs} output(s), got "
            f"{len(classes)}: {', '.join(map(cell, map(str, classes)))}. Leave classes out, or "
            "give as many.",
        )
        self.output_dir = Path(output_dir)
        self.classes = list(classes)
        self.dataset = dataset
        self.model = model
        self._start()
        network.encoder.register_forward_hook(self._keep)

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`, whose decollated output holds "pred" probabilities ``(classes,)``."""
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _start(self) -> None:
        self._h: list[Tensor] = []
        self._names: list[str] = []
        self._slices: list[int] = []
        self._probabilities: list[list[float]] = []

    def _keep(self, _: nn.Module, __: Any, h: Tensor) -> None:
        self._h.append(h.detach().float().cpu())

    def _add(self, engine: Engine) -> None:
        state: Any = engine.state
        for entry, output in zip(state.batch, state.output):
            self._names.append(cell(str(entry["name"])))
            self._slices.append(int(entry.get("slice", -1)))
            self._probabilities.append(output["pred"].float().flatten().tolist())

    def _write(self, _: Engine) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        skipped = list(getattr(self.dataset, "skipped", []))
        (self.output_dir / "skipped.csv").unlink(missing_ok=True)
        if skipped:
            rows = [[cell(name), cell(reason)] for name, reason in skipped]
            self._csv("skipped.csv", ["file", "reason"], rows)
        require(
            bool(self._names),
            f"{self.output_dir / 'skipped.csv'}: none of the {len(skipped)} files could be read. "
            "Its reasons say why.",
        )
        self._embeddings()
        done, count = "predicted", len(self._names)
        if self.model is None or self.model.head_fitted:
            self._csv("predictions.csv", *self._table())
        else:
            (self.output_dir / "predictions.csv").unlink(missing_ok=True)
            done = "embedded, none predicted: the head of this model was never fitted; evaluate it"
        _LOG.info("%s: %d images %s; %d files skipped", self.output_dir, count, done, len(skipped))

    def _table(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the rows of ``predictions.csv``."""
        header = ["file", "slice", *(plain(f"probability_{name}") for name in self.classes)]
        rows = [
            [name, "" if index < 0 else str(index), *(f"{p:.6f}" for p in probabilities)]
            for name, index, probabilities in zip(self._names, self._slices, self._probabilities)
        ]
        return header, rows

    def _embeddings(self) -> None:
        path = self.output_dir / "embeddings.npz"
        with replacing(path) as partial, partial.open("wb") as file:
            np.savez_compressed(
                file,
                h=torch.cat(self._h).numpy(),
                name=np.array(self._names),
                slice=np.array(self._slices),
            )

    def _csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        path = self.output_dir / name
        with replacing(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
