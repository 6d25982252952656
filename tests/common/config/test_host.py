"""Inside another program: guarded as on a command line, and nothing of that program is touched."""

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run_workflow

from common.checks import InputError
from tests.commands import ROOT
from tests.synthetic import ramp, write_picture

BUNDLE = ROOT / "bundles" / "brain_mri_learned_transforms"
HOST = """
import runpy, sys
sys.argv = ["server", "run_workflow", "--config_file", sys.argv[1], "--bundle_root", sys.argv[2]]
sys.argv += ["--output_dir", "nowhere", "--ckpt_dir", "nowhere", "--bathc_size", "3"]
try:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
except RuntimeError as error:
    print(type(error.__cause__).__name__, sys.excepthook is sys.__excepthook__)
"""
PICTURE = """
import sys
sys.modules.update(dict.fromkeys(("pydicom", "SimpleITK", "isal")))
import common.config, common.deploy
from common.data import PrepareImaged, image_datalist
(entry,) = image_datalist(sys.argv[1])
print(tuple(PrepareImaged("image", size=32)(entry)["image"].shape))
"""


def configuration() -> str:
    return str(BUNDLE / "configs" / "inference.json")


@pytest.mark.bad_input("dials")
def test_a_workflow_that_a_script_runs_is_guarded_and_leaves_no_hook(tmp_path: Path) -> None:
    before = sys.excepthook, signal.getsignal(signal.SIGTERM), list(logging.root.handlers)
    folders = {key: str(tmp_path) for key in ("output_dir", "ckpt_dir")}
    warned = pytest.warns(UserWarning, match="parsing config_file")  # MONAI's, at every start
    with warned, pytest.raises(RuntimeError) as raised:
        run_workflow(config_file=configuration(), logging_file=False, bathc_size=3, **folders)
    assert isinstance(raised.value.__cause__, InputError)
    assert "Did you mean 'batch_size'?" in str(raised.value.__cause__)
    after = sys.excepthook, signal.getsignal(signal.SIGTERM), list(logging.root.handlers)
    assert after == before


def printed(code: str, *words: Any) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.slow
def test_a_server_that_runs_monais_command_inside_itself_keeps_its_hook() -> None:
    assert printed(HOST, configuration(), BUNDLE) == "InputError True"


@pytest.mark.slow
def test_a_picture_needs_no_library_of_other_formats(tmp_path: Path) -> None:
    write_picture(tmp_path / "x.png", ramp())
    assert printed(PICTURE, tmp_path) == "(1, 32, 32)"
