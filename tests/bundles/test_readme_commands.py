"""The commands of every bundle's README, typed in a copy of the bundle on a small phantom."""

import re
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import monai.bundle
import pytest

from tests.bundles.conftest import images_of, narrow, short
from tests.commands import BUNDLES, VOLUMES, module_commands, options

pytestmark = [
    pytest.mark.slow,
    # monai.bundle.run says of every configuration that it can run code
    pytest.mark.filterwarnings("ignore:parsing config_file:UserWarning"),
]


def runs(bundle: Path) -> list[list[str]]:
    """The words after ``monai.bundle`` of every run in one process, in the order of the page."""
    page = module_commands(bundle / "docs" / "README.md")
    found = [words[1:] for words in page if words[:2] == ["monai.bundle", "run"]]
    return [words for words in found if "--tracking" not in words or find_spec("mlflow")]


def shortened(bundle: Path, phantom: Path, words: list[str]) -> dict[str, Any]:
    """What shortens a command: a small phantom in place of the reader's data."""
    configs = re.findall(r"configs/(\w+)\.json", " ".join(words))
    settings = narrow(bundle, *configs)
    if "inference.json" in " ".join(words):
        unmasked = {"mask": ""} if bundle in VOLUMES else {}  # the phantom has no mask
        return {"dataset_dir": str(images_of(bundle, phantom)), **unmasked, **settings}
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
