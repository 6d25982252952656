"""A packed bundle as an app of MONAI Deploy: `make test-deploy` installs what it needs."""

import csv
import os
import runpy
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from common.deploy import load
from common.deploy.app_folder import SDK
from common.deploy.pack import pack
from tests.bundles.test_pack import NAMES, bundle_with_model
from tests.common.deploy.test_commands import STUDY
from tests.synthetic import ramp, write_dicom, write_picture

with_sdk = pytest.mark.skipif(
    find_spec("monai.deploy") is None, reason="no monai-deploy-app-sdk: make test-deploy"
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle_with_model(NAMES[0], tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="module")
def app(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("app")
    with zipfile.ZipFile(pack(str(source), folder, ["torchscript"])) as file:
        file.extractall(folder)
    return folder / source.name


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_picture(tmp_path / "in" / "a.png", ramp(30, 30))
    write_dicom(tmp_path / "in" / "film.dcm", ramp(32, 30), PatientName="Doe^Jane", **STUDY)
    (tmp_path / "in" / "text.png").write_text("none")
    return tmp_path / "in"


def run(app: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the app where nothing of this project is to be found."""
    command = [sys.executable, "-W", "ignore", str(app), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    return subprocess.run(
        command, env=environment, cwd=app.parent, capture_output=True, text=True, check=False
    )


class Negated(torch.nn.Linear):
    """Has the weights of a head, and says the contrary."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -torch.nn.functional.linear(x, self.weight, self.bias)


def other_code(source: Path, path: Path) -> None:
    """Write a script of the bundle's weights that computes something else."""
    network = load(source, device="cpu").network
    head = Negated(network.head.in_features, network.head.out_features)
    head.load_state_dict(network.head.state_dict())
    network.head = head
    torch.jit.script(network).save(str(path))  # type: ignore[no-untyped-call]


@with_sdk
@pytest.mark.slow
@pytest.mark.parametrize("model", ["model.pt", "model.ts", "other_code.ts"])
def test_the_app_writes_what_the_bundle_predicts_and_a_report_of_a_study(
    source: Path, app: Path, images: Path, tmp_path: Path, model: str
) -> None:
    words = [] if model == "model.pt" else ["-m", str(app / "models" / model)]
    if model == "other_code.ts":
        other_code(source, app / "models" / model)
    done = run(app, "-i", str(images), "-o", str(tmp_path / "out"), *words)
    assert (done.returncode, done.stdout.count("\n")) == (0, 2), done.stderr
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [one for one in load(source, device="cpu").predict(images) if not one.reason]
    assert [row["file"] for row in rows] == [one.file for one in expected] == ["a.png", "film.dcm"]
    said = [[float(row[name]) for name in expected[0].values] for row in rows]
    np.testing.assert_allclose(said, [list(e.values.values()) for e in expected], atol=1e-6)
    assert len(list((tmp_path / "out" / "sr").glob("*.dcm"))) == 1


@with_sdk
@pytest.mark.slow
@pytest.mark.bad_input("models")
def test_what_the_app_cannot_do_ends_in_one_line(source: Path, app: Path, images: Path) -> None:
    (images / "a.png").unlink()
    (images / "film.dcm").unlink()
    other = images.parent / "model.ts"
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(other))  # type: ignore[no-untyped-call]
    for words, message in (
        (["-i", str(images)], "error: text.png: must be a whole PNG"),
        (["-i", "nowhere"], "error: argument --input/-i: No such file"),
        (["-i", str(images), "-m", str(other)], "error: --model: model.ts must be the export of"),
    ):
        done = run(app, *words, "-o", str(images.parent / "out"))
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(message)
        assert "Traceback" not in done.stderr


@pytest.mark.bad_input("models")
def test_without_the_sdk_the_app_says_what_to_install(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "monai.deploy.conditions", None)
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(app), run_name="__main__")
    line = str(end.value)
    assert line.startswith(f"error: {NAMES[0]} needs more (")
    assert line.endswith(f"pip install -r {app / 'requirements.txt'}")
    assert "\n" not in line
    needed = (app / "requirements.txt").read_text()
    assert all(f"{name}=={number}\n" in needed for name, number in SDK.items())
