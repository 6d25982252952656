"""Weights that come with a bundle: found, checked, and apart from a user's own."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from common.__main__ import main
from common.checks import InputError
from common.deploy import TrainedModel, load
from common.deploy.release import release
from common.deploy.released import LARGEST, SUMS, _listed, _sum
from tests.commands import BUNDLES, ROOT
from tests.models import SLICES, deployed

RELEASED = sorted(ROOT.glob("bundles/*/models/released"))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a bundle that a model was released with."""
    shutil.copytree(ROOT / "bundles" / SLICES / "configs", tmp_path / SLICES / "configs")
    (tmp_path / "terms.txt").write_text("CC0\n")
    made = deployed(tmp_path / "run")
    main(["release", str(tmp_path / SLICES), str(made), "--licence", str(tmp_path / "terms.txt")])
    return tmp_path / SLICES


def path(bundle: Path) -> Path:
    return TrainedModel(SLICES, bundle, bundle / "models" / "model.pt").path


def test_the_released_model_is_taken_until_there_is_an_own(bundle: Path) -> None:
    released = bundle / "models" / "released" / "model.pt"
    assert load(str(bundle)).model.path == path(bundle) == released
    before = released.read_bytes()
    deployed(bundle / "models", classes=["a", "b"])
    assert load(str(bundle)).model.classes(1) == ["b"]
    assert load(str(bundle), released.parent).model.released
    assert released.read_bytes() == before


def test_a_half_copied_own_model_is_not_passed_over_for_the_released_one(bundle: Path) -> None:
    (bundle / "models" / "model.json").write_text("{}")
    assert path(bundle) == bundle / "models" / "model.pt"


def test_every_released_file_has_its_sum_and_a_second_release_changes_nothing(bundle: Path) -> None:
    folder = bundle / "models" / "released"
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert set(before) == {"model.pt", "model.json", "license.txt", SUMS}
    release(str(bundle), folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.bad_input("models")
@pytest.mark.parametrize("name", ["model.pt", "model.json"])
def test_a_released_file_that_was_changed_is_refused(bundle: Path, name: str) -> None:
    file = bundle / "models" / "released" / name
    if name == "model.pt":
        torch.save(torch.load(file, weights_only=True), file)
        file.write_bytes(file.read_bytes() + b"\0")
    else:
        file.write_text(json.dumps(json.loads(file.read_text())))
    with pytest.raises(InputError, match=f"{name}: must have the SHA-256 that {SUMS} says"):
        load(str(bundle))


@pytest.mark.bad_input("models")
def test_a_released_model_without_its_sums_is_refused(bundle: Path) -> None:
    (bundle / "models" / "released" / SUMS).unlink()
    with pytest.raises(InputError, match=f"{SUMS}: "):
        load(str(bundle))


@pytest.mark.bad_input("models")
def test_no_model_is_released_without_a_fitted_head_or_a_licence(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "bundles" / SLICES / "configs", tmp_path / SLICES / "configs")
    with pytest.raises(InputError, match="must have a fitted head"):
        release(str(tmp_path / SLICES), deployed(tmp_path / "a", head_fitted=False))
    with pytest.raises(InputError, match="licence of the weights must be given"):
        release(str(tmp_path / SLICES), deployed(tmp_path / "b"))
    assert not (tmp_path / SLICES / "models").exists()


@pytest.mark.parametrize("folder", RELEASED, ids=lambda path: path.parts[-3])
def test_what_is_part_of_git_is_whole_small_and_has_a_card(folder: Path) -> None:
    files = {file.name: file for file in folder.iterdir() if file.name != SUMS}
    assert {"model.pt", "model.json", "license.txt"} <= set(files)
    assert dict(_listed(folder)) == {name: _sum(file) for name, file in files.items()}
    assert all(file.stat().st_size < LARGEST for file in files.values())
    bundle = folder.parents[1]
    assert load(str(bundle), folder).model.head_fitted
    card = (bundle / "docs" / "model_card.md").read_text()
    assert all(word in card for word in ("licence", "ntended use", "95 %"))
    assert re.search(r"python (-m monai\.bundle run|-m common train|benchmarks/)", card)


def test_git_ignores_ones_own_models_and_keeps_released_ones() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    names = [f"bundles/{BUNDLES[0].name}/models/{part}model.pt" for part in ("", "x/", "released/")]
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", *names], cwd=ROOT, capture_output=True, text=True
    )
    assert ignored.stdout.split() == names[:2]
