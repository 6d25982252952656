"""The costs of a bundle in its README are those of the results file."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from tests.commands import BUNDLES, ROOT

ROWS = json.loads((ROOT / "benchmarks" / "results" / "bundle_costs.json").read_text())["rows"]


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("bundle_costs")


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_readme_has_the_costs_of_both_sizes_as_measured(costs: ModuleType, bundle: Path) -> None:
    mine = [one for one in ROWS if one["bundle"] == bundle.name]
    assert [one["size"] for one in mine] == ["default", "small"]
    text = costs.readme(bundle.name).read_text()
    assert costs.section(mine, bundle.name) + costs.RESULTS in text


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_default_is_that_of_the_bundle_and_the_small_one_its_readmes(
    costs: ModuleType, bundle: Path
) -> None:
    rows = {one["size"]: one for one in ROWS if one["bundle"] == bundle.name}
    train = json.loads((bundle / "configs" / "train.json").read_text())
    assert rows["default"]["batch"] == train["batch_size"]
    assert (costs.BATCHES[bundle.name] or (train["batch_size"],)) == tuple(
        rows["default"]["measured"]
    )
    assert rows["small"]["batch"] == costs.tried(bundle.name).dials.get(
        "batch_size", train["batch_size"]
    )


def test_the_page_has_every_row(costs: ModuleType) -> None:
    page = (ROOT / "benchmarks" / "bundle_costs.md").read_text()
    assert [one for one in ROWS if " | ".join([one["bundle"], *costs.cells(one)]) not in page] == []


def test_a_batch_lies_on_the_line_through_two_that_were_measured(costs: ModuleType) -> None:
    assert costs.at(64, (2, 4), [10.0, 16.0]) == pytest.approx(4 + 3 * 64)
    assert costs.at(32, (32,), [7.5]) == 7.5


def test_what_is_tried_is_the_training_and_not_its_prior(costs: ModuleType) -> None:
    own = costs.tried("chest_xray_decoupled_uniformity")
    assert own.overlays == ["train", "prior_vae"]
    assert own.dials == {"lr_epochs": 2, "image_size": 64, "batch_size": 16}
    assert own.phantom["--kind"] == "chest"
    assert costs.tried("natural_image_contrastive").overlays == ["train", "encoder_resnet18"]
