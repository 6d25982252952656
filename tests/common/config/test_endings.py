"""How a command ends: one line, also when it is interrupted."""

import io
import json
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from common import __main__ as front
from common.checks import InputError
from common.config import endings

ROOT = Path(__file__).parents[3]
WAITING = {
    "imports": ["$import time"],
    "limits": {},
    "initialize": [{"_target_": "common.config.guard"}],
    "run": ["$[print('ready', flush=True) or time.sleep(0.1) for _ in range(3000)]"],
}
TRAINING = {"run": ["$@train#trainer.run()"], "run_dir": "run", "resume": False}


@pytest.mark.slow
@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_an_interruption_ends_in_one_line(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(WAITING))
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file=train.json"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored under nohup
    ) as process:
        assert process.stdout is not None
        while "ready" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == (-number if number == signal.SIGINT else 143)
    assert errors.splitlines()[-1] == "interrupted: nothing is lost. The same command begins again."
    assert "Traceback" not in errors


ENDS = {
    "ours, wrapped": (RuntimeError("x"), InputError("epochs: wrong."), "error: epochs: wrong."),
    "full disk": (OSError(28, "No space left on device"), None, "error: the disk is full."),
    "GPU": (torch.OutOfMemoryError("CUDA"), None, "error: the GPU's memory is full."),
    "a lost rank": (RuntimeError("gloo: Connection closed by peer [::1]"), None, "error: another"),
    "a silent rank": (RuntimeError("Timed out waiting 2ms for recv"), None, "error: another proce"),
    "memory": (RuntimeError("DefaultCPUAllocator: not enough memory"), None, "error: the memory"),
    "a size": (RuntimeError("mat1 and mat2 shapes cannot be"), None, "error: image: must have"),
    "a path": (PermissionError(13, "Permission denied", "/x"), None, "error: /x: must be a path"),
    "Ctrl-C": (KeyboardInterrupt(), None, "interrupted: no epoch was saved. The same command"),
    "SIGTERM": (endings.Terminated(), None, "interrupted: no epoch was saved. The same command"),
}


def ended(error: BaseException, config: dict[str, Any], capsys: Any) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endings, "_leave", lambda: None)
        endings._Hook(config)(type(error), error, None)
    return str(capsys.readouterr().err)


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("name", ENDS)
def test_an_error_ends_in_one_line(name: str, capsys: Any) -> None:
    error, cause, line = ENDS[name]
    error.__cause__ = cause
    said = ended(error, TRAINING, capsys)
    assert said.startswith(line)
    assert said.count("\n") == 1


def test_a_rank_that_was_asked_to_end_is_not_kept_silent_by_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    ours, kept = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", ours)
    monkeypatch.setattr(sys, "stderr", kept)  # as torch's hook of a rank does
    ended(endings.Terminated(), TRAINING, capsys)
    assert ours.getvalue().startswith("interrupted: no epoch was saved.")
    assert kept.getvalue() == ""


def test_the_other_ranks_leave_it_to_the_first_to_say_what_is_saved(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "report.json"))
    assert ended(endings.Terminated(), TRAINING, capsys) == ""
    said = json.loads((tmp_path / "report.json").read_text())["message"]
    assert said == "interrupted: the first process of this training says what is saved."


def test_any_other_error_keeps_its_traceback(capsys: Any) -> None:
    assert "ZeroDivisionError: x" in ended(ZeroDivisionError("x"), TRAINING, capsys)


def test_an_interrupted_training_says_what_is_saved(tmp_path: Path, capsys: Any) -> None:
    hook = endings._Hook({**TRAINING, "run_dir": str(tmp_path)})
    torch.save({"engine": {"epoch": 7}}, tmp_path / "checkpoint.pt")
    hook(KeyboardInterrupt, KeyboardInterrupt(), None)
    line = f"interrupted: epochs 1 to 7 are saved in {tmp_path}. --resume True goes on from there."
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ({"epoch": 1, "iteration": 9, "epoch_length": 9}, "epoch 1 is saved"),
        ({"epoch": 0, "iteration": 1, "epoch_length": 9}, "1 step of epoch 1 is saved"),
        ({"epoch": 2, "iteration": 23, "epoch_length": 9}, "epochs 1 to 2 and 5 steps of epoch 3"),
    ],
)
def test_the_steps_of_a_begun_epoch_are_said_to_be_saved(
    engine: dict[str, int], line: str, tmp_path: Path, capsys: Any
) -> None:
    torch.save({"engine": engine}, tmp_path / "checkpoint.pt")
    config = {**TRAINING, "run_dir": str(tmp_path)}
    assert f"interrupted: {line}" in ended(KeyboardInterrupt(), config, capsys)


def test_an_older_run_in_the_folder_is_not_taken_for_this_one(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save({"engine": {"epoch": 7}}, path)
    os.utime(path, (1, 1))
    for resumed, said in ((False, "no epoch was saved"), (True, "epochs 1 to 7")):
        config = {**TRAINING, "run_dir": str(tmp_path), "resume": resumed}
        assert said in ended(KeyboardInterrupt(), config, capsys)


def test_torchrun_gets_the_line_for_its_table(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    ended(InputError("epochs: wrong."), TRAINING, capsys)
    assert json.loads((tmp_path / "error.json").read_text())["message"] == "error: epochs: wrong."


FRONT = {
    "a missing file": (
        "run --config_file configs/trian.json",
        "configs/trian.json: must be a file",
    ),
    "no file": ("run --epochs 1", "common: --config_file must be given"),
    "another command": ("walk", "common: the command must be "),
    "an overlay alone": ("run --config_file overlay.json", "overlay.json: must follow train.json"),
    "a broken file": ("run --config_file broken.json", "broken.json: "),
    "help without a file": ("run --help", "configs/train.json: must be a file"),
}


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize("name", FRONT)
def test_the_front_door_refuses_in_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overlay.json").write_text('{"epochs": 1}')
    (tmp_path / "broken.json").write_text('{"epochs": 1')
    command, line = FRONT[name]
    with pytest.raises(InputError) as caught:
        front.main(command.split())
    assert str(caught.value).startswith(line)


def test_the_front_door_shows_the_dials_and_runs(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "train.json"
    own = {"epochs": 3, "limits": {"epochs": "int >= 1"}, "sources": {"epochs": "ours"}}
    path.write_text(json.dumps({**WAITING, **own, "run": ["$print(@epochs)"]}))
    front.main(["run", "--help", f"--config_file={path}"])
    assert "--epochs 3\n      int >= 1. ours" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        front.main(["run", f"--config_file={path}", "--epochs", "7", "--logging_file=False"])
    assert "7" in capsys.readouterr().out.splitlines()
