"""Bundles of pictures with a prior: the table is written, read, and left out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from tests.bundles.conftest import history, run
from tests.bundles.test_smoke import refused
from tests.commands import ROOT

CHEST = ROOT / "bundles" / "chest_xray_decoupled_uniformity"
NATURAL = ROOT / "bundles" / "natural_image_contrastive"
TINY_VAE = {
    "encoder": {
        "_target_": "common.networks.VariationalEncoder",
        "in_shape": [3, 32, 32],
        "latent": "@latent",
        "channels": "@vae_channels",
    },
    "latent": 4,
    "vae_channels": [4, 8],
}

Workflow = Callable[..., ConfigWorkflow]

pytestmark = pytest.mark.slow


def result(folder: Path, name: str) -> dict[str, Any]:
    return dict(json.loads((folder / "eval" / name / "evaluation.json").read_text()))


def test_an_autoencoder_writes_the_table_that_photographs_train_with(
    workflow: Workflow, tmp_path: Path
) -> None:
    run(workflow(NATURAL, "train+prior", tmp_path, **TINY_VAE))
    with np.load(tmp_path / "eval" / "vae_seed0" / "prior.npz") as table:
        assert table["embedding"].shape == (len(table["image"]), 4)
    recipe = "recipe_decoupled_uniformity+recipe_decoupled_uniformity_lars"
    overlays = f"{recipe}+loss_decoupled_uniformity+prior_vae"
    names = f"train+{overlays}+augmentation_no_color_no_crop"
    run(workflow(NATURAL, names, tmp_path))
    run(workflow(NATURAL, f"{names}+evaluate", tmp_path))
    name = "decoupled_uniformity_prior_vae_no_color_no_crop"
    actual = result(tmp_path, f"{name}_seed0")
    assert actual["strategy"] == name
    assert actual["settings"]["probability"] == [0.0, 0.5, 0.0, 0.0]


def test_films_train_without_a_table_and_with_that_of_a_trained_encoder(
    workflow: Workflow, tmp_path: Path
) -> None:
    run(workflow(CHEST, "train+prior_none", tmp_path))
    written = str(tmp_path / "table.npz")
    (weights,) = (tmp_path / "eval").glob("*/model.pt")
    model = {"prior_file": written, "prior_weights": str(weights)}
    run(workflow(CHEST, "train+prior_model", tmp_path, **model))
    with np.load(written) as table:
        assert table["embedding"].shape[1] == 512
    run(workflow(CHEST, "train", tmp_path / "second", prior_file=written))
    assert np.isfinite(history(tmp_path / "second")["terms"]["loss"]).all()


@pytest.mark.bad_input("weights")
def test_a_table_of_an_encoder_that_is_not_trained_is_not_written(
    workflow: Workflow, tmp_path: Path
) -> None:
    parts = workflow(CHEST, "train+prior_model", tmp_path, prior_file=str(tmp_path / "t.npz"))
    assert "prior_weights: must be the model.pt of a trained encoder" in refused(parts)
    assert not (tmp_path / "t.npz").exists()


def test_films_of_another_data_set_are_named(workflow: Workflow, tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", image=np.array(["a.png"]), embedding=np.ones((1, 2)))
    parts = workflow(CHEST, "train", tmp_path, prior_file=str(tmp_path / "t.npz"))
    assert "t.npz: must hold every image of the data, lacks" in refused(parts)
