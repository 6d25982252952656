"""The commands of every bundle's README, typed in a copy of the bundle.

What the page shows on a phantom runs as it is printed; what it shows on the reader's data is
shortened.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from data_prep.__main__ import main as data_prep
from tests.bundles.conftest import images_of, narrow, short
from tests.commands import BUNDLES, VOLUMES, module_commands, options

pytestmark = [
    pytest.mark.slow,
    # monai.bundle.run says of every configuration that it can run code
    pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning"),
]


PHANTOM_RUN = "eval_phantom"


def runs(bundle: Path) -> list[list[str]]:
    """The words after ``monai.bundle`` of every run in one process, in the order of the page."""
    page = module_commands(bundle / "docs" / "README.md")
    actual = [words[1:] for words in page if words[:2] == ["monai.bundle", "run"]]
    actual = [words for words in actual if PHANTOM_RUN not in words]
    # the phantom is images: test_smoke_volumes.py tries a table from the file to its predictions
    actual = [words for words in actual if not re.search(r"data_table|\.csv", " ".join(words))]
    return [words for words in actual if "--tracking" not in words or find_spec("mlflow")]


def shortened(bundle: Path, phantom: Path, words: list[str]) -> dict[str, Any]:
    """What shortens a command: a small phantom in place of the reader's data."""
    configs = re.findall(r"configs/(\w+)\.json", " ".join(words))
    settings = narrow(bundle, *configs)
    if "inference.json" in " ".join(words):
        unmasked = {"mask": ""} if bundle in VOLUMES else {}  # the phantom has no mask
        return {"dataset_dir": str(images_of(bundle, phantom)), **unmasked, **settings}
    if "prior" in configs:  # an autoencoder has an encoder of its own
        settings.pop("encoder", None)
    return {"dataset_dir": str(phantom), **short(bundle), **settings}


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_commands_of_the_readme_run_one_after_the_other(
    bundle: Path,
    phantom: Callable[[Path], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = tmp_path / "bundles" / bundle.name
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("models", "eval"))
    shown = runs(bundle)
    assert {"train", "evaluate", "inference"} <= {
        name for words in shown for name in ("train", "evaluate", "inference") if name in str(words)
    }
    for words in shown:
        monkeypatch.setattr(sys, "argv", ["monai.bundle", *words])
        monkeypatch.chdir(tmp_path if "bundles/" in " ".join(words) else copy)
        settings = options(words) | shortened(bundle, phantom(bundle), words)
        monai.bundle.run(**{"logging_file": False, **settings})
    assert list(tmp_path.rglob("report.html"))
    assert list(tmp_path.rglob("predictions.csv"))


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_what_the_readme_shows_on_a_phantom_runs_as_printed(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "CellFiles" in (bundle / "configs" / "inference.json").read_text():
        pytest.importorskip("skimage")  # nuclei are found
    copy = tmp_path / "bundles" / bundle.name
    shutil.copytree(bundle, copy, ignore=shutil.ignore_patterns("models", "eval"))
    monkeypatch.chdir(tmp_path)
    for name, *words in module_commands(bundle / "docs" / "README.md"):
        if name == "data_prep" and words[0] == "phantom":
            assert data_prep([*words, "--workers", "1"]) == 0
            monkeypatch.chdir(copy)
        elif PHANTOM_RUN in words:
            monkeypatch.setattr(sys, "argv", ["monai.bundle", *words])
            monai.bundle.run(logging_file=False, **options(words))
    (result,) = (copy / PHANTOM_RUN).glob("*/evaluation.json")
    assert json.loads(result.read_text())["bundle"] == bundle.name
    assert (copy / PHANTOM_RUN / "predictions.csv").read_text().count("\n") > 10
    assert (copy / PHANTOM_RUN / "report.html").is_file()
