"""Reference scans of one's own scanner: read from a table, predicted on, and what they say kept.

``--reference CSV`` names ten scans or more, of healthy people of known age or of known class. The
model predicts on them as on any other scan, `common.deploy.calibration` compares, and from then on
each prediction has a column ``..._calibrated`` and one, "calibration", that says of what.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from common.checks import InputError, require
from common.data.tables import check_once, number, read_table
from common.deploy.calibration import AgeCalibration, require_enough
from common.deploy.familiarity import WARN_BELOW
from common.deploy.prediction import Seen
from common.deploy.score_calibration import ScoreCalibration, TemperatureCalibration
from common.files import below

if TYPE_CHECKING:
    from common.deploy.predictor import Predictor

__all__ = ["Calibrated", "Reference", "calibrate", "read_reference"]

_LOG = logging.getLogger(__name__)

MOST_AGE = 120
SUM = 1e-3  # how far the sum of probabilities of exclusive classes may be from 1

Calibration = AgeCalibration | ScoreCalibration | TemperatureCalibration


@dataclass(frozen=True)
class Reference:
    """One scan of a table of reference scans.

    Attributes:
        path: the file or folder of the scan.
        known: its age in years, or the number of its class.
    """

    path: Path
    known: float


def read_reference(path: str | Path, classes: Sequence[str] = ()) -> list[Reference]:
    """Read a table of reference scans: a column ``file``, and ``age`` or ``label``.

    Args:
        path: CSV or XLSX, by the rules of `common.data.tables`; files are relative to its folder.
        classes: names of the model's classes; none for a model of ages.

    Raises:
        InputError: no such file, no such column, fewer than ten scans, one twice, an age that is
            none, or a class that the model has not.
    """
    path = Path(path)
    column = "label" if classes else "age"
    rows = read_table(path, "file", column)
    references = []
    for row in rows:
        require(
            bool(row["file"]),
            f"{row.where}: file must be filled, got nothing. Fill it or remove the row.",
        )
        text = row[column]
        known = _class(text, classes, row.where) if classes else _age(text, row.where)
        references.append(Reference(below(path.parent, row["file"], row.where), known))
    check_once([reference.path for reference in references], [row.where for row in rows])
    require_enough(len(references), str(path))
    return references


class Calibrated:
    """The columns that a calibration adds to predictions.

    Args:
        calibration: what the reference scans said.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.calibration = calibration

    def columns(self, batch: Seen) -> dict[str, list[str | float]]:
        """Return ``<value>_calibrated``, for ages the gap, and what it was calibrated on."""
        calibration, count = self.calibration, len(batch.entries)
        added: dict[str, list[str | float]] = {}
        if isinstance(calibration, AgeCalibration):
            predicted = batch.values[:, 0]
            given = [entry.get("age") for entry in batch.entries]
            known = np.array([a if isinstance(a, int | float) else np.nan for a in given], float)
            gaps = calibration.gap(predicted, known)
            added[f"{batch.names[0]}_calibrated"] = calibration.age(predicted).tolist()
            added["age_gap_calibrated"] = [float(gap) if np.isfinite(gap) else "" for gap in gaps]
        else:
            several = isinstance(calibration, TemperatureCalibration)
            values = batch.values if several else batch.values[:, 0]
            changed = calibration.probability(values).reshape(count, -1)
            for column, name in enumerate(batch.names):
                added[f"{name}_calibrated"] = [float(p) for p in changed[:, column]]
        return {**added, "calibration": [calibration.summary] * count}


def calibrate(predictor: "Predictor", path: str | Path) -> tuple[Calibrated, dict[str, Any]]:
    """Predict on the scans of a table and compare.

    Args:
        predictor: the model.
        path: CSV, see `read_reference`.

    Returns:
        The columns to add, and what is kept with the predictions: the numbers, the line that is
        told, and how many reference scans could not be read or are unlike the training images.

    Raises:
        InputError: a fault of the table, or fewer than ten scans that can be read.
    """
    ages = predictor.model.regression
    names = [name.removeprefix("probability_") for name in predictor.names]
    references = read_reference(path, () if ages else names)
    values, known, strange, reasons = [], [], 0, []
    for reference in references:
        predictions = predictor.predict(str(reference.path))
        images = [one for one in predictions if not one.reason]
        if not images:
            reasons.append(predictions[0].reason)
            continue
        values.append(np.mean([list(one.values.values()) for one in images], axis=0))
        known.append(reference.known)
        strange += any(_is_strange(one.columns.get("familiarity")) for one in images)
    if reasons:
        _LOG.warning(
            f"{path}: {len(reasons)} reference scans could not be read. First: {reasons[0]}"
        )
    require_enough(len(values), f"{path}: --reference")
    calibration = _fitted(np.array(values), known, ages)
    counts = {"unread": len(reasons), "unfamiliar": strange}
    record = json.loads(json.dumps({**counts, **calibration.record()}))  # lists, as it is read
    _LOG.info(calibration.summary)
    if strange:
        _LOG.warning(
            f"{path}: {strange} of {len(values)} reference scans are unlike the training images"
        )
    return Calibrated(calibration), record


def _fitted(values: NDArray[Any], known: Sequence[float], ages: bool) -> Calibration:
    if ages:
        return AgeCalibration.fit(values[:, 0], known)
    labels = [int(label) for label in known]
    if values.shape[1] == 1:
        return ScoreCalibration.fit(values[:, 0], labels)
    require(
        bool((np.abs(values.sum(axis=1) - 1) < SUM).all()),
        "--reference: the classes of the model must exclude each other, got several findings. "
        "Leave --reference out.",
    )
    return TemperatureCalibration.fit(values, labels)


def _is_strange(percent: Any) -> bool:
    return isinstance(percent, float) and percent < WARN_BELOW


def _age(text: str, where: str) -> float:
    age = number(text)
    if age is None or not 0 <= age <= MOST_AGE:
        raise InputError(
            f"{where}: age must be years, 0 to {MOST_AGE}, got something else. Correct the row."
        )
    return age


def _class(text: str, classes: Sequence[str], where: str) -> float:
    names = ["other", *classes] if len(classes) == 1 else list(classes)
    if text in names:
        return float(names.index(text))
    require(
        text.isdecimal() and int(text) < len(names),
        f"{where}: label must be a class of the model ({', '.join(names)}) or its number, 0 to "
        f"{len(names) - 1}, got something else. Correct the row.",
    )
    return float(text)
