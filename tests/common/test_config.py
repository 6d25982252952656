"""Typos in overrides and overlays are errors, and errors are one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from common.checks import InputError
from common.config import guard, unknown_keys

TRAIN = {
    "imports": ["$import torch"],
    "bundle_root": ".",
    "epochs": 3,
    "batch_size": 4,
    "train": {"trainer": {"max_epochs": "@epochs"}, "handlers": []},
    "initialize": [{"_target_": "common.config.guard"}],
    "run": ["$print(@epochs)"],
}
EVALUATE = {"_desc_": "overlay", "test": {"n": "@batch_size"}, "run": ["$print(@test#n)"]}


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle folder to stand in, with two configurations; the hook of errors is put back."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.chdir(tmp_path)
    write(tmp_path, train=TRAIN, evaluate=EVALUATE)
    return tmp_path


def write(folder: Path, **contents: Any) -> None:
    (folder / "configs").mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / "configs" / f"{name}.json").write_text(json.dumps(content))


TWO = "['configs/train.json','configs/evaluate.json']"
CORRECT = {
    "nothing else": "run --config_file configs/train.json",
    "the default file": "run",
    "an override": "run --config_file configs/train.json --epochs 1",
    "equals": "run --config_file=configs/train.json --epochs=1",
    "dashes": "run --config-file configs/train.json --batch-size 1",
    "nested": "run --config_file configs/train.json --train#trainer#max_epochs 1",
    "colons": "run --config_file configs/train.json --train::trainer::max_epochs 1",
    "merge": "run --config_file configs/train.json --+train#handlers []",
    "overlay": f"run --config_file {TWO} --epochs 1",
    "list without quotes": "run --config_file [configs/train.json,configs/evaluate.json]",
    "run id": "run training --config_file configs/train.json",
    "MONAI's own": "run --config_file configs/train.json --logging_file False --meta_file m.json",
    "tracking": "run --config_file configs/train.json --tracking mlflow --experiment_name x",
    "another command": "verify_metadata --meta_file metadata.json --filepath schema.json",
    "another program": "-q tests",
}
TYPOS = {
    "an override": ("run --config_file configs/train.json --epoch 1", "'epoch'"),
    "equals": ("run --config_file=configs/train.json --epoch=1", "'epoch'"),
    "an override of an overlay": (f"run --config_file {TWO} --epoch 1", "'epoch'"),
    "the first part of a nested key": ("run --trian#trainer#max_epochs 1", "'trian#trainer#max_ep"),
    "a merge": ("run --+trian#handlers []", "'+trian#handlers'"),
    "MONAI's tracking without it": ("run --experiment_name x", "'experiment_name'"),
}


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_command_passes(name: str, configs: Path) -> None:
    guard(CORRECT[name].split())


@pytest.mark.parametrize("name", TYPOS)
def test_a_key_that_exists_nowhere_is_refused(name: str, configs: Path) -> None:
    command, key = TYPOS[name]
    with pytest.raises(InputError) as caught:
        guard(command.split())
    assert str(caught.value).startswith(f"the command line: {key}")
    assert "is not a key of this configuration. " in str(caught.value)


def test_the_cure_is_the_nearest_key(configs: Path) -> None:
    with pytest.raises(InputError, match=r"Did you mean 'epochs'\?$"):
        guard(["run", "--epoch", "1"])
    with pytest.raises(InputError, match=r"See the keys of the first file\.$"):
        guard(["run", "--zzz", "1"])


def test_a_typo_in_an_overlay_names_the_overlay(configs: Path) -> None:
    write(configs, evaluate={**EVALUATE, "batchsize": 8})
    with pytest.raises(
        InputError, match=r"^configs/evaluate\.json: 'batchsize' .* 'batch_size'\?$"
    ):
        guard(["run", "--config_file", TWO])


@pytest.mark.parametrize("key", ["epochs", "epoch"])
def test_an_arguments_file_is_read_as_the_command_line(key: str, configs: Path) -> None:
    arguments = {"config_file": "configs/train.json", key: 1}
    (configs / "arguments.json").write_text(json.dumps(arguments))
    command = ["run", "--args_file", "arguments.json"]
    if key == "epochs":
        guard(command)
        return
    with pytest.raises(InputError, match=r"^the command line: 'epoch'"):
        guard(command)


def test_a_key_that_something_refers_to_may_be_new() -> None:
    layers = [("train", {"a": "@b"}), ("overlay", {"b": 1, "c": "@d", "d": 2, "run": []})]
    assert unknown_keys(layers) == [("overlay", "c", [])]


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(root),
        "PYTHONWARNINGS": "ignore",
    }
    return subprocess.run(
        [sys.executable, "-m", "monai.bundle", "run", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_monai_bundle_run_ends_a_typo_with_one_line_and_a_code(configs: Path) -> None:
    done = run(configs, "--config_file", "configs/train.json", "--epoch", "1")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1] == (
        "error: the command line: 'epoch' is not a key of this configuration. "
        "Did you mean 'epochs'?"
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_input_error_that_monai_wraps_is_shown_alone(configs: Path) -> None:
    loss = {"_target_": "common.losses.InfoNCE", "temperature": 0}
    write(configs, train={**TRAIN, "loss": loss, "run": ["$@loss"]})
    done = run(configs, "--config_file", "configs/train.json")
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("error: InfoNCE: temperature must be at least")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_any_other_error_keeps_its_traceback(configs: Path) -> None:
    write(configs, train={**TRAIN, "run": ["$1 / 0"]})
    done = run(configs, "--config_file", "configs/train.json")
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stderr
    assert "Traceback" in done.stderr
