"""Overlays of a set of photographs: they build with every loss, and inference builds the same."""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from tests.bundles.conftest import facts
from tests.commands import BUNDLES
from tests.models import written_record

PHOTOGRAPHS = [bundle for bundle in BUNDLES if facts(bundle).get("raw") == "photographs"]
OVERLAYS = [path for bundle in PHOTOGRAPHS for path in sorted(bundle.glob("configs/data_*.json"))]
pytestmark = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)


def parsed(configs: Path, *names: str, **settings: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.update(ConfigParser.load_config_files([str(configs / f"{name}.json") for name in names]))
    parser.update(settings)
    return parser


def test_a_data_set_goes_with_every_loss(overlay: Path) -> None:
    rows = ("loss_", "strategy_")
    losses = sorted(p.stem for p in overlay.parent.glob("*.json") if p.name.startswith(rows))
    assert len(losses) >= 5
    for loss in losses:
        parser = parsed(overlay.parent, "train", loss, overlay.stem, device="cpu")
        for counted in {"images", "batches"} & set(parser.get()):
            parser[counted] = 50  # in a prepared set
        network = parser.get_parsed_content("network")
        assert network.policy is not None
        assert network.classifier.head.out_features == parser["num_classes"]
        views = network.transform(x := torch.rand(2, 3, 16, 16), network.policy(x))
        assert views.shape == x.shape


def test_inference_builds_the_network_of_the_data_set(overlay: Path, tmp_path: Path) -> None:
    configs, root = overlay.parent, str(overlay.parents[1])
    training = parsed(configs, "train", overlay.stem, bundle_root=root, ckpt_dir=str(tmp_path))
    training["record"] = {"_target_": "common.config.run_record"}
    named = {"bundle": training["bundle"], "strategy": "any", "seed": 0}
    record = {**named, **training.get_parsed_content("record")}
    written_record(tmp_path, record)
    inference = parsed(configs, "inference", bundle_root=root, ckpt_dir=str(tmp_path))
    trained, deployed = (each.get_parsed_content("network_def") for each in (training, inference))
    shapes = [{k: v.shape for k, v in n.state_dict().items()} for n in (trained, deployed)]
    assert shapes[0] == shapes[1]
