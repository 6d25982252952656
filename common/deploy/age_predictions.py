"""Inference output of a brain-age model: predicted age, age gap, embedding."""

import math
from pathlib import Path
from typing import Any

from ignite.engine import Engine

from common.deploy.model_file import LoadModel
from common.deploy.predictions import SavePredictions
from common.networks import ImageClassifier

__all__ = ["SaveAges"]


class SaveAges(SavePredictions):
    """`SavePredictions` for a network that predicts years.

    ``predictions.csv`` has a row per brain: file, predicted_age, and, where the datalist gives an
    "age", that age and age_gap = predicted_age - age (positive: the brain looks older), all in
    years. A gap depends on age (predictions lean to the training mean), which is not corrected
    here: compare it only between groups of the same ages.

    Args:
        output_dir: folder for the files.
        network: the network; its encoder's output is the embedding.
        dataset: the data set read from; its ``skipped`` list of (file, reason), if any, is written.
        model: who loaded the network, see `SavePredictions`.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: ImageClassifier,
        dataset: Any = None,
        model: LoadModel | None = None,
    ) -> None:
        super().__init__(output_dir, network, ["age"], dataset, model)

    def _start(self) -> None:
        super()._start()
        self._ages: list[float] = []

    def _add(self, engine: Engine) -> None:
        super()._add(engine)
        state: Any = engine.state
        for entry in state.batch:
            age = entry.get("age")
            self._ages.append(math.nan if age is None else float(age))

    def _table(self) -> tuple[list[str], list[list[str]]]:
        rows = []
        for name, (predicted,), age in zip(self._names, self._probabilities, self._ages):
            known = [f"{age:.2f}", f"{predicted - age:.2f}"] if math.isfinite(age) else ["", ""]
            rows.append([name, f"{predicted:.2f}", *known])
        return ["file", "predicted_age", "age", "age_gap"], rows
