"""A packed bundle runs without this project, and beside another one."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from common.checks import InputError
from common.deploy import load, save_model
from common.deploy.pack import pack
from tests.bundles.conftest import narrow, short
from tests.commands import ROOT
from tests.models import written_record

NAMES = ("brain_mri_learned_transforms", "digits_trainable_crop")
SITE = Path(torch.__file__).parents[1]
FRESH = """
import importlib.util, json, sys, monai.bundle, torch
assert importlib.util.find_spec("common") is None
told = json.loads(sys.argv[1])
for folder, (data, out) in told["predict"].items():
    places = {"bundle_root": folder, "dataset_dir": data, "output_dir": out}
    monai.bundle.run(config_file=f"{folder}/configs/inference.json", **places, logging_file=None)
names = tuple(folder.rpartition("/")[2] for folder in told["predict"])
ours = {m: v for m, v in sys.modules.items() if m.startswith(names) and m.endswith(".common")}
code = {name: module.__file__ for name, module in ours.items()}
monai.bundle.run(config_file=told["train"].pop("config_file"), **told["train"])
print(json.dumps(code))
"""


def bundle_with_model(name: str, folder: Path) -> Path:
    """A copy of a bundle with a small model that was never trained."""
    bundle = folder / name
    for part in ("configs", "docs"):
        shutil.copytree(ROOT / "bundles" / name / part, bundle / part)
    shutil.copyfile(ROOT / "bundles" / name / "LICENSE", bundle / "LICENSE")
    dials = {"image_size": 32, "channels": [4, 8]} if name == NAMES[0] else {"features": 12}
    parser = ConfigParser(json.loads((bundle / "configs" / "train.json").read_text()) | dials)
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def")
    torch.nn.init.normal_(network.head.weight)
    record = {"bundle": name, "strategy": "none", "seed": 0, "config": dials, "dials": dials}
    save_model(
        bundle / "models" / "model.pt",
        network,
        {**record, "changed": list(dials), "head_fitted": True},
    )
    return bundle


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("sources")
    return [bundle_with_model(name, folder) for name in NAMES]


@pytest.fixture(scope="module")
def unpacked(sources: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("unpacked")
    for source in sources:
        with zipfile.ZipFile(pack(str(source), folder / "zips", ["torchscript"])) as file:
            file.extractall(folder)
    return [folder / source.name for source in sources]


def test_every_file_has_its_sum_and_no_block_is_of_this_project(unpacked: list[Path]) -> None:
    for folder in unpacked:
        sums = [line.split("  ") for line in (folder / "SHA256SUMS").read_text().splitlines()]
        found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
        assert {name for _, name in sums} == found - {"SHA256SUMS"}
        for digest, name in sums:
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        texts = "".join(path.read_text() for path in (folder / "configs").glob("*.json"))
        assert '"_target_": "common.' not in texts
        assert "monai-contrastive-bundles" not in texts


def test_the_same_files_give_the_same_zip(sources: list[Path], tmp_path: Path) -> None:
    first, second = (pack(str(sources[0]), tmp_path / name) for name in "ab")
    assert first.name == f"{NAMES[0]}_v0.1.0.zip"
    assert first.read_bytes() == second.read_bytes()


def test_a_model_in_another_folder_is_packed_as_the_bundles_own(
    sources: list[Path], tmp_path: Path
) -> None:
    own = pack(str(sources[0]), tmp_path / "a")
    bare, weights = tmp_path / NAMES[0], tmp_path / "weights"
    shutil.copytree(sources[0], bare)
    shutil.move(bare / "models", weights)
    assert pack(str(bare), tmp_path / "b", weights=weights).read_bytes() == own.read_bytes()
    with pytest.raises(InputError, match=r"--weights: must be a folder with model\.pt"):
        pack(str(bare), tmp_path / "c", weights=tmp_path / "none")


def test_stock_tools_are_told_the_classes_of_the_model_and_a_folder_they_understand(
    sources: list[Path], tmp_path: Path
) -> None:
    bundle = shutil.copytree(sources[0], tmp_path / NAMES[0])
    record = json.loads((bundle / "models" / "model.json").read_text())
    written_record(bundle / "models", record | {"classes": ["lesion"]})
    path = pack(str(bundle), tmp_path / "dist", label=True)
    assert path.name == f"{NAMES[0]}_classification_v0.1.0.zip"
    with zipfile.ZipFile(path) as file:
        text = file.read(f"{NAMES[0]}_classification/configs/metadata.json")
    pred = json.loads(text)["network_data_format"]["outputs"]["pred"]
    assert (pred["num_channels"], pred["channel_def"]) == (1, {"0": "lesion"})


@pytest.mark.slow
def test_two_packed_bundles_in_one_process_run_their_own_code_and_predict_as_here(
    sources: list[Path],
    unpacked: list[Path],
    phantom: Callable[[Path], Path],
    tmp_path: Path,
) -> None:
    data = phantom(ROOT / "bundles" / NAMES[0])
    told = {str(path): [str(data / "images"), str(tmp_path / path.name)] for path in unpacked}
    dials = {**short(sources[0]), **narrow(sources[0], "train"), "device": "cpu"}
    places = {"config_file": f"{unpacked[0]}/configs/train.json", "bundle_root": str(unpacked[0])}
    train = {**places, "dataset_dir": str(data), "output_dir": str(tmp_path / "run"), **dials}
    code = fresh({"predict": told, "train": train}, tmp_path)
    assert sorted(Path(path).parents[2] for path in code.values()) == sorted(unpacked)
    assert len(list((tmp_path / "run").glob("*/checkpoint.pt"))) == 1
    for source in sources:
        there = np.genfromtxt(tmp_path / source.name / "predictions.csv", delimiter=",")[1:]
        predictor = load(source, device="cpu")
        here = [list(one.values.values()) for one in predictor.predict(data / "images")]
        found = there[:, 2 : 2 + len(predictor.names)]
        np.testing.assert_allclose(found, here, rtol=0, atol=1e-5)


def fresh(told: dict[str, Any], folder: Path) -> dict[str, str]:
    """Run `FRESH` where nothing but the installed packages is to be found; what it prints."""
    done = subprocess.run(
        [sys.executable, "-S", "-W", "ignore", "-c", FRESH, json.dumps(told)],
        env={**os.environ, "PYTHONPATH": str(SITE), "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_the_exported_model_gives_what_the_network_gives(
    sources: list[Path], unpacked: list[Path]
) -> None:
    for source, folder in zip(sources, unpacked):
        script = torch.jit.load(folder / "models" / "model.ts")  # type: ignore[no-untyped-call]
        predictor = load(source, device="cpu")
        size = predictor.model["image_size"]
        x = torch.rand(2, 1, size, size)
        with torch.no_grad():
            torch.testing.assert_close(script(x), predictor.network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.bad_input("models")
def test_what_cannot_be_packed_ends_in_a_line_and_leaves_nothing(
    sources: list[Path], tmp_path: Path
) -> None:
    bare = tmp_path / NAMES[0]
    shutil.copytree(sources[0], bare)
    (bare / "models" / "model.json").unlink()
    with pytest.raises(InputError, match=r"model\.json: must lie beside model\.pt"):
        pack(str(bare), tmp_path / "dist")
    shutil.rmtree(bare / "models")
    with pytest.raises(InputError, match="must be a model to export, got none"):
        pack(str(bare), tmp_path / "dist", ["torchscript"])
    with pytest.raises(InputError, match="must be torchscript or onnx"):
        pack(str(bare), tmp_path / "dist", ["tflite"])
    with pytest.raises(InputError, match="no_such_bundle"):
        pack("no_such_bundle", tmp_path / "dist")
    assert not list(tmp_path.glob("dist/*"))
