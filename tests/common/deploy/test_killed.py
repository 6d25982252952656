"""Predictions that are killed at any moment: what was done is there, and the rest is made again."""

import csv
import json
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.deploy import PredictionFolder, Predictor
from common.deploy.journal import read_steps
from tests.commands import ROOT
from tests.models import SLICES
from tests.synthetic import ramp, write_picture

BATCH = 2
RUN = """
import sys, time, common
from common.deploy import PredictionFolder
predictor = common.load(sys.argv[1], sys.argv[2])
predictor.batch_size, predictor.num_workers = int(sys.argv[3]), 2
predictor.columns.append(lambda batch: time.sleep(0.03) or {})
PredictionFolder(sys.argv[5], embeddings="npz").write(predictor, predictor.dataset.of(sys.argv[4]))
"""


class Killed(Exception):
    """Stands for the moment after which nothing is done any more."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(7):
        write_picture(tmp_path / "in" / f"{number}.png", ramp(20 + number, 24, 90 + 9 * number))
    (tmp_path / "in" / "3.png").write_bytes(b"broken")
    return tmp_path / "in"


def said(folder: Path) -> list[list[str]]:
    rows: list[list[str]] = []
    for name in ("predictions.csv", "skipped.csv"):
        with (folder / name).open(newline="", encoding="utf-8") as file:
            rows += csv.reader(file)
    return rows


def written(predictor: Predictor, images: Path, folder: Path, table: str = "csv") -> Path:
    predictor.batch_size = BATCH
    PredictionFolder(folder, table, "npz").write(predictor, predictor.dataset.of(images))
    return folder


def killed_at(moment: int, patch: pytest.MonkeyPatch) -> None:
    """Let the folder's end stop before the given one of what it does to files."""
    left, end = count(), PredictionFolder._end

    def until(change: Any) -> Any:
        def changed(self: Path, *words: Any, **options: Any) -> Any:
            if next(left) >= moment:
                raise Killed
            return change(self, *words, **options)

        return changed

    def ends(self: PredictionFolder, predictor: Predictor) -> None:
        for name in ("unlink", "replace"):
            patch.setattr(Path, name, until(getattr(Path, name)))
        end(self, predictor)

    patch.setattr(PredictionFolder, "_end", ends)


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_one_that_is_killed_as_it_ends_is_whole_when_it_is_given_again(
    predictor: Predictor, images: Path, tmp_path: Path, table: str
) -> None:
    pytest.importorskip("pyarrow")
    whole = written(predictor, images, tmp_path / "whole", table)
    for moment in count():
        with pytest.MonkeyPatch.context() as patch:
            killed_at(moment, patch)
            try:
                written(predictor, images, tmp_path / str(moment), table)
                break
            except Killed:
                pass
        again = written(predictor, images, tmp_path / str(moment), table)
        names = {path.name for path in again.iterdir()}
        assert names == {path.name for path in whole.iterdir()}
        with np.load(again / "embeddings.npz") as actual, np.load(whole / "embeddings.npz") as old:
            np.testing.assert_array_equal(actual["h"], old["h"])
        assert json.loads((again / "predictions.json").read_text())["complete"]
    assert moment > 5


def test_rows_that_a_machine_lost_as_it_went_down_are_predicted_again(
    predictor: Predictor, images: Path, tmp_path: Path
) -> None:
    whole = written(predictor, images, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        killed_at(0, patch)
        with pytest.raises(Killed):
            written(predictor, images, tmp_path / "out")
    rows = tmp_path / "out" / "predictions.csv"
    rows.write_bytes(rows.read_bytes()[:-9])
    assert len(read_steps(tmp_path / "out")) == 3  # of four batches
    assert said(written(predictor, images, tmp_path / "out")) == said(whole)


@pytest.mark.slow
def test_kill_9_keeps_all_but_the_last_batch_and_the_same_command_goes_on(
    model: Path, predictor: Predictor, tmp_path: Path
) -> None:
    for number in range(60):
        write_picture(tmp_path / "in" / f"{number:02d}.png", ramp(20 + number, 24, 90 + number))
    words = [sys.executable, "-c", RUN, SLICES, str(model), str(BATCH), str(tmp_path / "in")]
    with subprocess.Popen([*words, str(tmp_path / "out")], cwd=ROOT) as process:
        until = time.monotonic() + 240
        while len(read_steps(tmp_path / "out")) < 5 and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    done = read_steps(tmp_path / "out")[-1]["counts"]["images"]
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert done <= len(list(csv.DictReader(file))) <= done + BATCH
    assert 10 <= done < 60
    folder = PredictionFolder(tmp_path / "out", embeddings="npz")
    predictor.batch_size = BATCH
    folder.write(predictor, predictor.dataset.of(tmp_path / "in"))
    assert folder.resumed == done
    with (tmp_path / "out" / "predictions.csv").open() as file:
        assert [row["file"] for row in csv.DictReader(file)] == [f"{n:02d}.png" for n in range(60)]
