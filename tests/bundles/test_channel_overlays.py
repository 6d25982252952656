"""Overlays of digits_trainable_crop: what is trained, what is deployed, on which data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow
from PIL import Image

from common.checks import InputError
from common.policies import CellCrops, CropChannel, UniformCrops
from data_prep.__main__ import main as data_prep
from tests.bundles.conftest import images_of
from tests.commands import ROOT
from tests.models import written_record

BUNDLE = ROOT / "bundles" / "digits_trainable_crop"
CHANNELS = {"strategy_ours": CropChannel, "strategy_printed": CropChannel}
CHANNELS |= {"strategy_simclr": UniformCrops}

Workflow = Callable[..., ConfigWorkflow]


def parsed(*names: str, **settings: Any) -> ConfigParser:
    content: dict[str, Any] = {"device": "cpu"}
    for name in names:
        content |= json.loads((BUNDLE / "configs" / f"{name}.json").read_text())
    parser = ConfigParser()
    parser.update(content | {"device": "cpu"} | settings)
    return parser


@pytest.mark.parametrize("strategy", CHANNELS)
def test_the_paper_counts_289_crops_of_the_grid_and_9_of_a_digit(strategy: str) -> None:
    for data, count in (([], 289), (["data_original"], 9)):
        network = parsed("train", *data, strategy).get_parsed_content("network")
        assert len(network.representation.grid) == count
        assert isinstance(network.representation.channel, CHANNELS[strategy])


@pytest.mark.parametrize(
    ("overlays", "beta"),
    [
        (["strategy_printed"], 0.5),
        (["data_original", "strategy_printed"], 1.0),
        (["strategy_printed", "data_original"], 1.0),
        (["data_original"], 5.0),
        ([], 5.0),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, list) else "",
)
def test_the_data_set_decides_the_printed_beta(overlays: list[str], beta: float) -> None:
    network = parsed("train", *overlays).get_parsed_content("network")
    assert network.loss.beta == beta
    if overlays[-1:] == ["strategy_printed"]:
        assert network.channel_crops == network.crops == 8


def test_only_a_channel_that_learns_has_a_phase() -> None:
    for strategy, kind in CHANNELS.items():
        optimizers = parsed("train", strategy).get_parsed_content("optimizers")
        assert set(optimizers) == {"encoder", *(["policy"] if kind is CropChannel else [])}


@pytest.mark.parametrize(
    "overlays",
    [
        ["representation_projection"],
        ["representation_top"],
        ["representation_projection", "representation_top"],
        ["channel_uniform"],
        ["representation_oracle"],
        ["data_original"],
    ],
    ids="+".join,
)
def test_inference_builds_what_the_overlays_deploy(overlays: list[str], tmp_path: Path) -> None:
    places = {"bundle_root": str(BUNDLE), "ckpt_dir": str(tmp_path)}
    training = parsed("train", *overlays, **places)
    training["record"] = {"_target_": "common.config.run_record"}
    named = {"bundle": training["bundle"], "strategy": "any", "seed": 0}
    record = {**named, **training.get_parsed_content("record")}
    written_record(tmp_path, record)
    inference = parsed("inference", **places)
    trained, deployed = (each.get_parsed_content("network_def") for each in (training, inference))
    deployed.load_state_dict(trained.state_dict(), strict=True)
    for name in ("representation", "average", "top"):
        assert getattr(deployed.encoder, name) == getattr(trained.encoder, name)
    assert type(deployed.encoder.channel) is type(trained.encoder.channel)


@pytest.fixture(scope="module")
def simclr(workflow: Workflow, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simclr")
    run(workflow(BUNDLE, "train+strategy_simclr", folder))
    return folder


def run(parts: ConfigWorkflow) -> ConfigWorkflow:
    parts.initialize()
    parts.run()
    parts.finalize()
    return parts


@pytest.mark.slow
def test_one_run_deploys_one_representation_after_the_other(
    simclr: Path, workflow: Workflow, phantom: Any, tmp_path: Path
) -> None:
    pictures = images_of(BUNDLE, phantom(BUNDLE))
    for overlay, deployed in (
        ("representation_projection", "projection mean"),
        ("representation_oracle", "features oracle"),
        ("channel_uniform", "features mean"),
    ):
        run(workflow(BUNDLE, f"train+strategy_simclr+{overlay}+evaluate", simclr))
        result = json.loads((simclr / "eval" / "simclr_seed0" / "evaluation.json").read_text())
        assert result["channel"]["deployed"] == deployed
        assert len(result["channel"]["representations"]) == 4
    settings = {"dataset_dir": str(pictures), "ckpt_dir": str(simclr / "models")}
    run(workflow(BUNDLE, "inference", tmp_path, **settings))
    with Image.open(min((tmp_path / "eval" / "crops").iterdir())) as picture:
        observed = np.asarray(picture).astype(int)
    tint = (
        observed[..., 1] - observed[..., 0]
    )  # cyan over black: the middle is in more crops than a corner
    assert tint[24, 24] > tint[0, 0] > 0


@pytest.mark.slow
def test_the_oracle_cannot_stand_in_for_a_channel_that_learned(
    workflow: Workflow, tmp_path: Path
) -> None:
    run(workflow(BUNDLE, "train", tmp_path))
    parts = workflow(BUNDLE, "train+representation_oracle+evaluate", tmp_path)
    parts.initialize()
    with pytest.raises(RuntimeError) as caught:
        parts.run()
    assert isinstance(caught.value.__cause__ or caught.value.__context__, InputError)


@pytest.mark.slow
def test_digits_as_they_are_train_and_evaluate_without_an_oracle(
    workflow: Workflow, tmp_path: Path
) -> None:
    words = "phantom --kind digits --layout original --patients 12 --slices 4 --workers 1"
    assert data_prep([*words.split(), "--target", str(tmp_path / "data")]) == 0
    settings = {"dataset_dir": str(tmp_path / "data"), "image_size": 28, "crop_size": 20}
    for names in ("train+data_original", "train+data_original+evaluate"):
        run(workflow(BUNDLE, names, tmp_path, **settings))
    path = tmp_path / "eval" / "ours_original_seed0" / "evaluation.json"
    result = json.loads(path.read_text())["channel"]
    assert result["grid"]["crops"] == 9
    assert {row["average"] for row in result["representations"]} == {"mean", "top"}


def test_the_oracle_of_the_grid_sees_nine_crops() -> None:
    oracle = parsed("train").get_parsed_content("oracle")
    assert isinstance(oracle, CellCrops)
    assert (oracle(torch.ones(1, 1, 84, 84)) > -100).sum() == 9
