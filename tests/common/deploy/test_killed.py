"""Predictions that are killed at any moment: what was done is there, and the rest is made again."""

import csv
import json
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.deploy import PredictionFolder, Predictor
from common.deploy.commands.predict import main
from common.deploy.journal import read_steps
from tests.commands import ROOT
from tests.models import SLICES
from tests.synthetic import ramp, write_picture

BATCH = 2


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
    for path in (folder / "predictions.csv", folder / "skipped.csv"):
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
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
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(300):
        write_picture(tmp_path / "in" / f"{number:03d}.png", ramp(20, 24, 90 + number % 7))
    words = ["predict", SLICES, str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    words += ["--weights", str(model), "--batch-size", "2", "--workers", "2"]
    command = [sys.executable, "-W", "ignore", "-m", "common", *words]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while len(read_steps(tmp_path / "out")) < 5 and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        _, errors = process.communicate()
    assert "Traceback" not in errors
    done = read_steps(tmp_path / "out")[-1]["counts"]["images"]
    assert 10 <= done < 300
    assert done <= len(said(tmp_path / "out")[1:]) <= done + BATCH
    assert main(words[1:]) == 0
    assert (
        f"{done} files had been done by a command that was interrupted" in capsys.readouterr().out
    )
    names = [row[0] for row in said(tmp_path / "out")[1:]]
    assert names == [f"{number:03d}.png" for number in range(300)]
