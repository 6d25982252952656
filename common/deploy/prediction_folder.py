"""A folder that predictions are written to as they come, so that a crash keeps what was done.

::

    predictions.csv        a row for each image, appended (or predictions.parquet, made at the end)
    skipped.csv            files without an image, or whose report was not written, with the reason
    embeddings.npz, .zarr  "h" (N, F), "name", "slice" in the order of the rows, made at the end
    predictions.json       which model, when finished or not, what holds for all of them
    .progress              until the end: which files are done, and how long the others were then

A command that was interrupted goes on where it was when it is given again; one that ended begins
anew. What was written after the last whole chunk of files is cut off and predicted again.
"""

import csv
import json
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from common.checks import InputError, require
from common.data import ImageFiles
from common.deploy.journal import (
    NONE,
    PROGRESS,
    RAW,
    SKIPPED,
    Journal,
    go_on,
    key_of,
    read_steps,
)
from common.deploy.prediction import Prediction
from common.deploy.provenance import versions
from common.deploy.tables import write_npz, write_parquet, write_zarr
from common.files import locked, read_json, replacing

if TYPE_CHECKING:
    from common.deploy.predictor import Predictor

__all__ = ["PredictionFolder", "Sink"]

_LOG = logging.getLogger(__name__)

RECORD = "predictions.json"
TABLES = {"csv": "predictions.csv", "parquet": "predictions.parquet"}
EMBEDDINGS = {"npz": "embeddings.npz", "zarr": "embeddings.zarr"}
ROWS = {"csv": "predictions.csv", "parquet": ".predictions.csv", None: ".images.csv"}
CURE = "Delete the folder, or name another one."


class Sink:
    """Something else that is written for each file: override `write`."""

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Write what was said of the images of one file.

        Raises:
            InputError: it cannot be written: listed in skipped.csv, and ends nothing.
        """
        raise NotImplementedError


class PredictionFolder:
    """Writes predictions into a folder; see the module.

    Args:
        path: the folder.
        table: "csv", "parquet", or None for no predictions.
        embeddings: "npz", "zarr", or None for no embeddings.
        sinks: what else is written for each prediction.
        again: begin anew also where the folder holds an interrupted run of something else.
        notes: what holds for all predictions, such as a calibration; kept in predictions.json.

    Attributes:
        counts: as `write` returns them.
        resumed: number of files that an interrupted run had done.
    """

    def __init__(
        self,
        path: str | Path,
        table: str | None = "csv",
        embeddings: str | None = None,
        sinks: Sequence[Sink] = (),
        again: bool = False,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        for name, value, known in (
            ("table", table, TABLES),
            ("embeddings", embeddings, EMBEDDINGS),
        ):
            require(
                value is None or value in known,
                f"PredictionFolder: {name} must be {' or '.join(known)}, got {value!r}.",
            )
        self.path = Path(path)
        self.table, self.embeddings = table, embeddings
        self.sinks = sinks
        self.again = again
        self.notes = dict(notes or {})
        self.counts = dict(NONE)
        self.resumed = 0

    @property
    def complete(self) -> bool:
        """Whether it holds predictions of a command that ended."""
        path = self.path / RECORD
        return path.is_file() and read_json(path, CURE).get("complete") is True

    def write(self, predictor: "Predictor", files: ImageFiles) -> dict[str, int]:
        """Predict on files and write; return the counts.

        They are "images", those of them "warned", files "skipped" without an image, and files
        predicted on of which something else, such as a report, was left "unwritten".

        Raises:
            InputError: the folder cannot be written, holds an interrupted run of something else,
                or nothing could be predicted.
        """
        keys = [key_of(entry) for entry in files.entries]
        require(bool(keys), "predict: paths must name something to predict on, got none.")
        with locked(self.path):
            done = self._begin(predictor, keys)
            todo = [index for index, key in enumerate(keys) if key not in done]
            self.resumed = len(keys) - len(todo)
            if self.resumed:
                about = f"{self.resumed} of {len(keys)} files are done"
                _LOG.info("%s: goes on where it was interrupted: %s", self.path, about)
            parts = (ROWS[self.table], self.table is not None, self.embeddings is not None)
            bar = _bar(len(keys), len(keys) - len(todo))
            with Journal(self.path, *parts, self.counts) as journal, closing(bar):
                numbers = files.chunks(predictor.batch_size, todo)
                for indices, chunk in zip(numbers, predictor.chunks(files, todo), strict=True):
                    self._add(journal, chunk)
                    journal.end([keys[index] for index in indices])
                    bar.update(len(indices))
            self._end(predictor)
        return self.counts

    def _add(self, journal: Journal, predictions: Sequence[Prediction]) -> None:
        """Write the predictions of some whole files."""
        for (name, *_), images in groupby(
            predictions, lambda one: (one.file, one.paths, one.index)
        ):
            read = []
            for one in images:
                if one.reason:
                    journal.skip(name, one.reason)
                else:
                    journal.add(one)
                    read.append(one)
            for sink in self.sinks if read else ():
                try:
                    sink.write(read)
                except InputError as error:
                    journal.skip(name, str(error), "unwritten")

    def _about(self, predictor: "Predictor") -> dict[str, Any]:
        """What a run must have in common with the one it goes on with."""
        record = predictor.model.record
        return {
            "bundle": predictor.model.bundle,
            "weights": record.get("weights", ""),
            "call": record.get("call"),
            "values": predictor.names if self.table else [],
            "embeddings": self.embeddings,
            "table": self.table,
            "sinks": [type(sink).__name__ for sink in self.sinks],
            "notes": self.notes,
        }

    def _begin(self, predictor: "Predictor", keys: Sequence[str]) -> set[str]:
        """Clear the folder, or cut off what a crash left half-done; return what is done."""
        about, steps = self._about(predictor), read_steps(self.path)
        if steps:
            before = read_json(self.path / RECORD, CURE)
            same = {name: before.get(name) for name in about} == about
            known = {key for step in steps for key in step["done"]} <= set(keys)
            require(
                self.again or (same and known),
                f"{self.path}: must be continued with the same model, files and options, got "
                f"others, after a run that was interrupted. {CURE}",
            )
            if same and known:
                go_on(self.path, steps)
                self.counts = {**NONE, **steps[-1]["counts"]}
                return {key for step in steps for key in step["done"]}
        # in this order, so that neither says at any moment that something is there which is not
        (self.path / PROGRESS).unlink(missing_ok=True)
        self._record({**about, "complete": False, "versions": versions()})
        for name in (*ROWS.values(), *TABLES.values(), EMBEDDINGS["npz"], RAW, SKIPPED):
            (self.path / name).unlink(missing_ok=True)
        shutil.rmtree(self.path / EMBEDDINGS["zarr"], ignore_errors=True)
        self.counts = dict(NONE)
        return set()

    def _end(self, predictor: "Predictor") -> None:
        """Make what is made of the rows, and say that it is all."""
        rows = self.path / ROWS[self.table]
        skipped = self.path / SKIPPED
        if self.counts["images"]:
            if self.embeddings:
                write = {"npz": write_npz, "zarr": write_zarr}[self.embeddings]
                width = predictor.network.head.in_features
                write(self.path / EMBEDDINGS[self.embeddings], self.path / RAW, rows, width)
            if self.table == "parquet":
                write_parquet(self.path / TABLES["parquet"], rows)
        # whenever it is killed from here on, it is either made again of all its parts, or complete
        about = read_json(self.path / RECORD, CURE)
        self._record({**about, "complete": True, **self.counts})
        (self.path / PROGRESS).unlink(missing_ok=True)
        (self.path / RAW).unlink(missing_ok=True)
        if self.table != "csv" or not self.counts["images"]:
            rows.unlink(missing_ok=True)
        if not self.counts["skipped"] + self.counts["unwritten"]:
            skipped.unlink(missing_ok=True)
        if not self.counts["images"]:
            raise InputError(_nothing_read(skipped))
        done = "predicted" if self.table else "embedded"
        if not self.table and not predictor.model.head_fitted:
            done += ", none predicted: the head of this model was never fitted; evaluate it"
        _LOG.info(
            "%s: %d images %s; %d files skipped",
            self.path,
            self.counts["images"],
            done,
            self.counts["skipped"],
        )

    def _record(self, content: Mapping[str, Any]) -> None:
        with replacing(self.path / RECORD) as partial:
            partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _nothing_read(skipped: Path) -> str:
    """Why a folder has no prediction: the reason of its one file, or how many had one."""
    with skipped.open(newline="", encoding="utf-8") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    if len(reasons) == 1:
        return reasons[0]
    return f"{skipped}: none of the {len(reasons)} files could be read. The first: {reasons[0]}"


def _bar(total: int, done: int) -> Any:
    """A progress bar on a terminal; else a line now and then, and none of what takes seconds."""
    terminal: TextIO = sys.stderr
    interval = 0.1 if terminal.isatty() else 30.0
    delay = 0.0 if terminal.isatty() else 10.0
    return tqdm(
        total=total, initial=done, desc="predicting", unit="file", mininterval=interval, delay=delay
    )
