"""Inference output: ``predictions.csv`` and ``embeddings.npz``."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import Tensor, nn

from common.networks import ImageClassifier

__all__ = ["SavePredictions"]


class SavePredictions:
    """A handler of an inference evaluator; writes once all images are done.

    ``predictions.csv`` has a row per image: file, slice (empty unless the image is a slice of a
    volume), and the probability of each class. ``embeddings.npz`` holds "h" ``(N, F)``, "file" and
    "slice" in the same order. ``skipped.csv`` lists files that could not be read, with the reason.

    Args:
        output_dir: folder for the files.
        network: the classifier; its encoder's output is the embedding.
        classes: names of the classes, one per output of the network.
        dataset: the data set read from; its ``skipped`` list of (file, reason), if any, is written.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: ImageClassifier,
        classes: Sequence[str],
        dataset: Any = None,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.classes = list(classes)
        self.dataset = dataset
        self._h: list[Tensor] = []
        self._rows: list[list[str]] = []
        network.encoder.register_forward_hook(self._keep)

    def attach(self, engine: Engine) -> None:
        """Listen to `engine`, whose decollated output holds "pred" probabilities ``(classes,)``."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._write)

    def _keep(self, _: nn.Module, __: Any, h: Tensor) -> None:
        self._h.append(h.detach().float().cpu())

    def _add(self, engine: Engine) -> None:
        for entry, output in zip(engine.state.batch, engine.state.output):
            index = int(entry.get("slice", -1))
            row = [f"{p:.6f}" for p in output["pred"].float().flatten().tolist()]
            self._rows.append([str(entry["name"]), str(index) if index >= 0 else "", *row])

    def _write(self, _: Engine) -> None:
        self.output_dir.mkdir(parents=True, exist_ok=True)
        header = ["file", "slice", *(f"probability_{name}" for name in self.classes)]
        self._csv("predictions.csv", header, self._rows)
        np.savez_compressed(
            self.output_dir / "embeddings.npz",
            h=torch.cat(self._h).numpy(),
            file=np.array([row[0] for row in self._rows]),
            slice=np.array([row[1] for row in self._rows]),
        )
        skipped = getattr(self.dataset, "skipped", [])
        if skipped:
            self._csv("skipped.csv", ["file", "reason"], skipped)

    def _csv(self, name: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        partial = self.output_dir / (name + ".partial")
        with partial.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        partial.replace(self.output_dir / name)
