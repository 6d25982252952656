"""What a tool gets that only reads a bundle's inference.json."""

import shutil
from pathlib import Path

import monai.bundle
import pytest
import torch
from monai.bundle import ConfigParser

from tests.commands import ROOT
from tests.models import SLICES, deployed


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of a bundle with a model that was trained at another size and width."""
    shutil.copytree(ROOT / "bundles" / SLICES / "configs", tmp_path / SLICES / "configs")
    deployed(tmp_path / SLICES / "models")
    return tmp_path / SLICES


@pytest.mark.filterwarnings("ignore:parsing config_file")  # MONAI says so of every file
def test_monais_load_fills_every_variable_of_the_network_that_was_trained(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    loaded = monai.bundle.load(SLICES, bundle_dir=str(bundle.parent), workflow_type="inference")
    trained = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert {k: v.shape for k, v in loaded.state_dict().items()} == {
        k: v.shape for k, v in trained.items()
    }
    assert all(torch.equal(value, trained[name]) for name, value in loaded.state_dict().items())


def test_a_tool_that_only_reads_the_file_prepares_images_as_in_training(bundle: Path) -> None:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    parser.update({"bundle_root": str(bundle)})
    assert parser.get_parsed_content("preprocessing").transforms[0].size == 16
    (bundle / "models" / "model.json").unlink()
    again = ConfigParser(parser.config)
    with pytest.raises(RuntimeError) as caught:
        again.get_parsed_content("preprocessing")
    assert "model.json: must lie beside model.pt" in str(caught.getrepr(style="short"))
