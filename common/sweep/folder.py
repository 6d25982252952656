"""The folder of a sweep: what it is of, what became of each run, and the table of all.

::

    <output>/sweep.json          bundle, overlays, dials and data of all runs; names of the grid
    <output>/table.csv           (and table.parquet) the figures of all runs that are done
    <output>/failed.csv          the runs that failed, with the reason; none where none did
    <output>/<run>/              what `common.engines.RunFolder` keeps of a run
    <output>/<run>/models/       the model, as ``python -m common predict --weights`` takes it
    <output>/<run>/log.txt       what its process said
    <output>/<run>/outcome.json  how it ended

One sweep at a time works in it. What is there of earlier grids stays, and stays in the table.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common.checks import InputError, require
from common.config import RECORD as RUN_RECORD
from common.files import locked, read_json, replacing
from common.own_process import Wanted
from common.report.load import EVALUATION
from common.sweep.launch import BEGUN, DONE, FAILED, OUTCOME, Outcome
from common.sweep.table import TABLE, Row, columns, figures, write_table

__all__ = ["SweepFolder"]

CHECKPOINT = "checkpoint.pt"  # of `common.engines.RunFolder`
RECORD, LEFT_OUT, WANTED = "sweep.json", "failed.csv", ".wanted"
CURE = "Give it as before, or name another --output."
SELDOM = 20  # the table is rewritten at most a 20th of the time


class SweepFolder:
    """The outcomes of a sweep, and its table.

    Args:
        path: of the folder.
        record: what all its runs share; "grid" are the names of the swept dials.
    """

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self.path = path
        self.record = dict(record)
        self.outcomes: dict[str, Outcome] = {}
        self._rows: dict[str, list[Row]] = {}
        self._written, self._took = 0.0, 0.0

    @contextmanager
    def opened(self) -> Iterator[Wanted]:
        """Be the only sweep in the folder; what is returned holds as long, for its processes.

        Raises:
            InputError: another sweep works there, or it holds a sweep of something else.
        """
        self.require_same()
        with locked(self.path, "a sweep's folder"):
            self._begin_anew()
            with replacing(self.path / RECORD) as partial:
                partial.write_text(json.dumps(self.record, indent=1) + "\n")
            for note in self.path.glob(f"*/{BEGUN}"):
                note.unlink(missing_ok=True)
            self.read()
            try:
                with Wanted.opened(self.path / WANTED) as wanted:
                    yield wanted
            finally:
                self.write()

    def require_same(self) -> None:
        """Refuse another sweep's folder, unless nothing was trained there.

        Raises:
            InputError: what all runs share, or the names of the grid, differ.
        """
        path = self.path / RECORD
        if not path.is_file() or not self._holds_training():
            return
        before, now = _flat(read_json(path, CURE)), _flat(self.record)
        for name in [*now, *before]:
            was, is_ = before.get(name), now.get(name)
            require(
                was == is_,
                f"{path}: {name} must be {was!r}, as in the sweep that this folder holds, got "
                f"{is_!r}. {CURE}",
            )

    def _holds_training(self) -> bool:
        return any(any(self.path.glob(f"*/{name}")) for name in (CHECKPOINT, EVALUATION))

    def _begin_anew(self) -> None:
        """Forget runs that failed before anything was trained: dials may be others now."""
        if not self._holds_training():
            for path in self.path.glob(f"*/{OUTCOME}"):
                path.unlink()
                path.with_name(RUN_RECORD).unlink(missing_ok=True)

    def read(self) -> None:
        """Read the outcomes that are there; one that cannot be read is none."""
        for path in sorted(self.path.glob(f"*/{OUTCOME}")):
            try:
                outcome = Outcome(**read_json(path, "It is done again."))
            except (InputError, TypeError):
                continue
            self.add(outcome)

    def add(self, outcome: Outcome) -> None:
        """Take in how a run ended; its figures are read here."""
        folder = self.path / outcome.name
        if outcome.ended == DONE:
            if not (folder / EVALUATION).is_file():  # somebody removed it: to be done again
                return
            self._rows[outcome.name] = figures(folder)
        self.outcomes[outcome.name] = outcome

    def grow(self) -> None:
        """Write the table, unless that was done just now and takes long."""
        if time.monotonic() - self._written > SELDOM * self._took:
            self.write()

    def write(self) -> None:
        """Write the table of what is done, and the list of what failed."""
        begun = time.monotonic()
        names = list(self.record["grid"])
        done = self.of(DONE)
        rows = [
            [*_of_grid(each, names), each.strategy, each.seed, *row]
            for each in done
            for row in self._rows[each.name]
        ]
        write_table(self.path / TABLE, columns(names), rows, parquet=True)
        failed = [
            [*_of_grid(each, names), each.strategy, each.seed, each.name, each.reason]
            for each in self.of(FAILED)
        ]
        if failed:
            heads = [*names, "strategy", "seed", "run", "reason"]
            write_table(self.path / LEFT_OUT, heads, failed)
        else:
            (self.path / LEFT_OUT).unlink(missing_ok=True)
        self._written = time.monotonic()
        self._took = self._written - begun

    def of(self, ended: str) -> list[Outcome]:
        """The outcomes that ended so, by strategy, swept values and seed."""
        chosen = [each for each in self.outcomes.values() if each.ended == ended]
        return sorted(chosen, key=lambda each: (each.strategy, *_order(each), each.seed))


def _of_grid(outcome: Outcome, names: list[str]) -> list[Any]:
    return [outcome.point.get(name, "") for name in names]


def _order(outcome: Outcome) -> Iterator[tuple[bool, float, str]]:
    """Numbers by size, then words."""
    for value in outcome.point.values():
        number = isinstance(value, int | float)
        yield not number, float(value) if number else 0.0, str(value)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with each dial beside the rest."""
    rest = {key: value for key, value in record.items() if key != "dials"}
    return {**dict(record.get("dials") or {}), **rest}
