"""``python -m common train``: training, evaluation, report and model by one command."""

import json
from pathlib import Path

import pytest

from common.__main__ import main
from common.checks import InputError
from common.config import run_command
from data_prep.__main__ import main as data_prep
from tests.models import SLICES

RANDOM = ["--overlays", "strategy_random_supervised"]
DIALS = "--image_size 32 --channels [4,8,16] --epochs 1 --batch_size 8 --label_fraction 1.0"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning")
def test_one_command_trains_evaluates_reports_and_deploys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = str(tmp_path / "data"), tmp_path / "out"
    phantom = ["--patients", "12", "--slices", "4", "--size", "64", "--workers", "1"]
    assert data_prep(["phantom", "--kind", "brain", *phantom, "--target", data]) == 0
    words = ["train", SLICES, data, "--output", str(out), *RANDOM]
    assert main([*words, *DIALS.split(), "--head_fitted_on=training"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"model: {out}/models/model.pt"
    assert any(line.startswith("Finds ") for line in said)
    record = json.loads((out / "models" / "model.json").read_text())
    assert (record["strategy"], record["head_fitted"]) == ("random_supervised", True)
    assert (out / "report.html").is_file()


def test_a_dial_of_the_evaluation_alone_is_kept_from_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[list[str]] = []
    monkeypatch.setattr(run_command, "main", runs.append)
    words = ["--head_fitted_on", "training", "--seed=1", "--resume", "True"]
    with pytest.raises(InputError, match="must be a folder"):  # nothing was trained: no report
        main(["train", SLICES, "data", "--output", str(tmp_path / "none"), *words])
    train, evaluation = (dict(zip(run[::2], run[1::2])) for run in runs)
    assert "--head_fitted_on" not in train
    assert (train["--seed"], train["--resume"]) == ("1", "True")
    assert evaluation["--head_fitted_on"] == "training"
    assert "--resume" not in evaluation


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope", "data"], "must be the folder of a bundle, or one of"),
        ([SLICES], "arguments are required: data"),
        ([SLICES, "data", "--epochs"], "got '--epochs' without a value"),
        ([SLICES, "data", "--seed", "1", "2"], "got '2' alone"),
        ([SLICES, "data", "--overlays", "nope"], r"nope\.json: must be a file, got none"),
    ],
    ids=["bundle", "no data", "no value", "a word too many", "overlay"],
)
def test_wrong_words_end_in_one_line(words: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        main(["train", *words, "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
