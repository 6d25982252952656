"""``FILE.prediction.json`` beside each file that was predicted on."""

import json
from collections.abc import Sequence
from pathlib import Path

from common.checks import require
from common.deploy.prediction import Prediction
from common.deploy.prediction_folder import Sink
from common.deploy.trained_model import TrainedModel
from common.files import replacing

__all__ = ["StudyFiles"]

USE = "research use only; not a medical device"


class StudyFiles(Sink):
    """Writes what was said of a file beside it; of a series of files, beside the first.

    ``{"model": {bundle, strategy, weights, call}, "predictions": [{slice, values, columns}],
    "use"}``, a prediction for each slice of a volume that is read slice by slice. The model's
    "call" is the rule by which a class is called, with its thresholds (`common.deploy.CallRule`).

    Args:
        model: which model says it.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write the predictions of one file.

        Raises:
            InputError: they are of an array or a row of a stack, or the folder is not writable.
        """
        first = predictions[0]
        require(
            bool(first.paths) and first.index < 0,
            f"{first.file}: must be a file of its own for a JSON beside it, got an array or a row "
            "of one. Leave out --json.",
        )
        path = first.paths[0]
        record = self.model.record
        about = {name: record.get(name) for name in ("bundle", "strategy", "weights", "call")}
        said = [{"slice": p.slice, "values": p.values, "columns": p.columns} for p in predictions]
        content = {"model": about, "predictions": said, "use": USE}
        with replacing(Path(f"{path}.prediction.json")) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
