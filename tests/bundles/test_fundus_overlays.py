"""What the overlays of fundus_photo_dino draw and build: Table 2 of its paper."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from common.networks import VisionTransformer
from tests.bundles.conftest import run
from tests.bundles.test_smoke import refused
from tests.commands import ROOT

BUNDLE = ROOT / "bundles" / "fundus_photo_dino"
CONFIGS = BUNDLE / "configs"
SMALL = {"image_size": 48, "local_size": 32, "prototypes": 8, "embed_dim": 12, "depth": 4,
         "heads": 2, "device": "cpu"}  # fmt: skip
TABLE_2 = {  # local crop, global crop, brightness and contrast, artefacts
    "strong": ([0.05, 0.4], [0.4, 1.0], 0.4, []),
    "weak": ([0.2, 0.5], [0.5, 1.0], 0.2, []),
    "weak_med": ([0.2, 0.5], [0.5, 1.0], 0.2, ["axis_blur", "noise", "bias_field"]),
}
DINO = {  # probabilities of the released code, and what comes after the blur
    "global_1": ([1.0, 0.5, 0.8, 0.2, 1.0], []),
    "global_2": ([1.0, 0.5, 0.8, 0.2, 0.1, 0.2], ["solarize"]),
    "local": ([1.0, 0.5, 0.8, 0.2, 0.5], []),
}


def parsed(*names: str, **settings: Any) -> ConfigParser:
    content: dict[str, Any] = {}
    for name in names:
        content |= json.loads(Path(CONFIGS / f"{name}.json").read_text())
    return ConfigParser(content | settings)


@pytest.mark.parametrize("name", TABLE_2)
def test_a_setting_draws_the_views_of_table_2(name: str) -> None:
    local, wide, strength, artefacts = TABLE_2[name]
    network = parsed("train", f"augmentation_{name}", **SMALL).get_parsed_content("network")
    groups = [*network.global_views, *network.local_views]
    for view, group in zip(DINO, groups, strict=True):
        chances, after = DINO[view]
        before = ["resized_crop", "mirror", "color_jitter", "grayscale", "blur"]
        assert list(group.transform.order) == before + after + artefacts
        assert group.policy.probability == chances + [0.5] * len(artefacts)
        settings = group.transform.settings
        assert settings["resized_crop"]["scale"] == (local if view == "local" else wide)
        jitter = {"brightness": strength, "contrast": strength, "saturation": 0.2, "hue": 0.1}
        assert settings["color_jitter"] == jitter
    views = [view for group in groups for view in group(torch.rand(2, 3, 48, 48))]
    sides = [view.shape[-1] for view in views]
    assert sides == [48] * 2 + [32] * 8


def test_the_default_is_the_weak_setting() -> None:
    train = json.loads((CONFIGS / "train.json").read_text())
    weak = json.loads((CONFIGS / "augmentation_weak.json").read_text())
    dials = {key: value for key, value in weak.items() if key not in ("_desc_", "optional")}
    assert {key: train[key] for key in dials} == dials


def test_a_pretrained_file_reaches_student_and_teacher(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {key: SMALL[key] for key in ("image_size", "embed_dim", "depth", "heads")}
    public = VisionTransformer(**sizes)
    torch.save(public.state_dict(), tmp_path / "w.pth")
    parser = parsed("train", **SMALL, pretrained=str(tmp_path / "w.pth"))
    network = parser.get_parsed_content("network")
    for encoder in (network.student.encoder.encoder, network.classifier.encoder.encoder):
        torch.testing.assert_close(encoder.state_dict(), public.state_dict(), rtol=0, atol=0)
    assert parser.get_parsed_content("network_def") is network.classifier


@pytest.mark.slow
def test_fine_tuning_starts_from_the_pre_trained_teacher(
    workflow: Callable[..., ConfigWorkflow], tmp_path: Path
) -> None:
    assert "must be a model, got no such file" in refused(
        workflow(BUNDLE, "train+finetune", tmp_path)
    )
    run(workflow(BUNDLE, "train", tmp_path))
    teacher = torch.load(tmp_path / "eval" / "weak_seed0" / "model.pt", weights_only=True)
    still = {"learning_rate": 1e-30, "final_learning_rate": 0.0}
    run(workflow(BUNDLE, "train+finetune", tmp_path, **still, stage="_still"))
    (path,) = (tmp_path / "eval").glob("*_still_seed0/model.pt")
    tuned = torch.load(path, weights_only=True)
    torch.testing.assert_close(tuned, teacher, rtol=0, atol=0)
    for names in ("train+finetune", "train+finetune+evaluate"):
        run(workflow(BUNDLE, names, tmp_path))
    tuned = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    same = [name for name in tuned if torch.equal(tuned[name], teacher[name])]
    assert same == ["encoder.mean", "encoder.std"]
    (path,) = (tmp_path / "eval").glob("weak_finetuned_seed0/evaluation.json")
    assert json.loads(path.read_text())["deployed_head"] == "trained"
