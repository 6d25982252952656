"""Whether what is given to a model is what it was made for: refused, or said beside the prediction.

`Strangers` joins what ``model.json`` says of the training images to a `Predictor`: a check of each
file before it is read, one of its grid after, and the columns "familiarity" (per cent) and
"warning" of each prediction.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from common.checks import InputError
from common.data import ImageFiles
from common.data.in_memory import in_memory
from common.deploy.expected import Expected
from common.deploy.familiarity import Familiarity, familiarity_warning
from common.deploy.file_facts import array_facts, file_facts, image_facts
from common.deploy.prediction import Seen
from common.deploy.trained_model import TrainedModel

__all__ = ["Strangers"]

_LOG = logging.getLogger(__name__)

Entry = Mapping[str, Any]


class Strangers:
    """What a model knows of its training images; see the module.

    Args:
        model: what was trained. A model.json of an earlier version says nothing of the training
            images; a line in the log says so once.
    """

    def __init__(self, model: TrainedModel) -> None:
        record, where = model.record, str(model.record_path)
        self.expected = Expected.from_record(record.get("expects"), where)
        self.familiarity = Familiarity.from_record(record.get("familiarity"), where)
        if record and self.expected is None:
            _LOG.warning(
                f"{where}: says nothing of the training images, so that strangers are not told. "
                "Evaluate the run again."
            )

    def guard(self, files: ImageFiles) -> ImageFiles:
        """Return the same files, of which those are refused that cannot be the model's."""
        if self.expected is None:
            return files
        guarded = copy(files)
        guarded.checks = [*files.checks, self.check]
        guarded.transform = _OfOneGrid(files.transform, self.expected)
        return guarded

    def check(self, entry: Entry) -> dict[str, Any]:
        """Read what a file tells of itself, for `columns`.

        Args:
            entry: of `ImageFiles`. What `data_prep` wrote (it has an "index") tells nothing.

        Raises:
            InputError: it is of another modality or dimension than the training images.
        """
        source = entry.get("source")
        first = source[0] if isinstance(source, list) and source else source
        array = in_memory(entry.get("image"))
        if self.expected is None or "index" in entry or not (array or isinstance(first, str)):
            return {"facts": {}}
        facts = array_facts(entry["image"]) if array else file_facts(str(first))
        reason = self.expected.refusal(facts)
        if reason:
            raise InputError(f"{entry['name']}: {reason}")
        return {"facts": facts}

    def columns(self, batch: Seen) -> dict[str, list[str | float]]:
        """Return "familiarity" (per cent; "" where it is not known) and "warning" of a batch."""
        if self.expected is None:
            return {}
        percent: list[str | float] = [""] * len(batch.entries)
        warnings: list[list[str]] = [
            self.expected.warnings(entry.get("facts", {}), image_facts(x.cpu().numpy()))
            for entry, x in zip(batch.entries, batch.x)
        ]
        if self.familiarity is not None:
            percent = [float(value) for value in self.familiarity.percent(batch.h)]
            warnings = [
                [familiarity_warning(float(p)), *words] for p, words in zip(percent, warnings)
            ]
        return {"familiarity": percent, "warning": ["; ".join(filter(None, w)) for w in warnings]}


class _OfOneGrid:
    """A transform, and the check that a volume came out on the training's grid."""

    def __init__(self, transform: Callable[[Any], Any], expected: Expected) -> None:
        self.transform, self.expected = transform, expected

    def __call__(self, entry: Entry) -> Any:
        read = self.transform(entry)
        shape: Sequence[int] = read["image"].shape[1:]
        reason = self.expected.shape_refusal(shape)
        if reason:
            raise InputError(f"{entry['name']}: {reason}")
        return read
