"""The reference that a deployment leaves in ``model.json``."""

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader, Dataset

from common.data import write_manifest
from common.deploy.expected import Expected
from common.deploy.familiarity import Familiarity
from common.evaluation.familiar import familiar_images
from common.networks import ConvEncoder, ImageClassifier


@pytest.fixture
def parser(tmp_path: Path) -> ConfigParser:
    generator = torch.Generator().manual_seed(0)
    films = [{"image": torch.rand(1, 8, 8, generator=generator)} for _ in range(60)]
    entries = [{"image": f"{i}.png", "label": 0, "patient": f"p{i}", "age": 30} for i in range(40)]
    for entry in entries:
        (tmp_path / entry["image"]).touch()
    keys = ("source", "licence", "arguments", "versions", "counts", "sha256")
    parts = {"training": entries, "validation": [], "test": [], "skipped": []}
    write_manifest(tmp_path, {**{key: {} for key in keys}, **parts})
    network = ImageClassifier(ConvEncoder(channels=(4, 6)), 6)
    look = familiar_images
    config: dict[str, Any] = {
        "dataset_dir": str(tmp_path),
        "train": {"dataset": Dataset(films[:40])},
        "validate": {"dataloader": DataLoader(Dataset(films[40:]), batch_size=7)},
        "network": network,
        "look": look,
        "_meta_": {"network_data_format": {"inputs": {"image": {"modality": "DX"}}}},
        "found": "$@look(@network, 'cpu')",
    }
    return ConfigParser(config)


def test_a_deployment_measures_training_and_validation_images(parser: ConfigParser) -> None:
    actual = parser.get_parsed_content("found")
    expected = Expected.from_record(actual["expects"], "")
    familiarity = Familiarity.from_record(actual["familiarity"], "")
    assert expected is not None
    assert familiarity is not None
    assert (expected.images, expected.modality, expected.ages) == (40, ("DX",), (30, 30))
    assert (familiarity.images, familiarity.held_out, len(familiarity.mean)) == (40, 20, 6)


def test_outside_of_a_configuration_there_is_nothing_to_measure() -> None:
    assert familiar_images(ImageClassifier(ConvEncoder(channels=(4, 6)), 6), "cpu") == {}


def test_training_images_that_are_gone_end_no_evaluation(
    parser: ConfigParser, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "manifest.json").unlink()
    assert parser.get_parsed_content("found") == {}
    assert "the model will not tell strangers" in caplog.text
