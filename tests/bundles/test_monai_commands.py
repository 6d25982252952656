"""MONAI's own commands on every bundle: what a stock tool does with it."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import (
    ConfigParser,
    ckpt_export,
    onnx_export,
    verify_metadata,
    verify_net_in_out,
)
from monai.bundle.scripts import _get_fake_input_shape

from tests.bundles.conftest import narrow
from tests.bundles.test_contract import REQUIRED
from tests.commands import BUNDLES
from tests.models import BRAINS

PARITY = 1e-4  # of the output's scale

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def small(bundle: Path, folder: Path) -> dict[str, str]:
    """Copy the bundle's configuration with small networks; give MONAI's commands its places.

    Nothing is changed where it reads images of one size only. A DenseNet of a hundred layers takes
    half a minute to export: two blocks stand for it.
    """
    copied = folder / bundle.name
    shutil.copytree(bundle / "configs", copied / "configs")
    path = copied / "configs" / "train.json"
    train = json.loads(path.read_text())
    metadata = json.loads((copied / "configs" / "metadata.json").read_text())
    image = metadata["network_data_format"]["inputs"]["image"]
    if not all(isinstance(size, int) for size in image["spatial_shape"]):
        train |= narrow(bundle, "train")
        if train["encoder"]["_target_"].endswith("DenseNetEncoder"):
            encoder = {"_target_": "common.networks.ConvEncoder", "channels": [4, 8]}
            train["encoder"] = encoder
        if bundle.name == BRAINS:  # whose channels are counted in the data
            train["encoder"] = {**train["encoder"], "in_channels": image["num_channels"]}
    path.write_text(json.dumps(train))
    return {**configs(copied), "bundle_root": str(copied)}


def configs(bundle: Path) -> dict[str, str]:
    return {
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
    }


def exported(bundle: Path, target: Path, command: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The output of the network whose export `command` writes to `target`, and the input."""
    places = small(bundle, target.parent)
    parser = ConfigParser()
    parser.read_config(places["config_file"])
    parser.read_meta(places["meta_file"])
    parser["bundle_root"] = places["bundle_root"]
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    for module in (m for m in network.modules() if hasattr(m, "running_mean")):
        torch.nn.init.normal_(module.running_mean, std=0.1)
    weights = target.with_suffix(".pt")
    torch.save(network.state_dict(), weights)
    command(net_id="network_def", filepath=str(target), ckpt_file=str(weights), **places)
    x = torch.rand(_get_fake_input_shape(parser))
    with torch.no_grad():
        return network(x), x


def close(found: Any, expected: torch.Tensor) -> bool:
    scale = float(expected.abs().max())
    return bool(np.abs(np.asarray(found) - expected.numpy()).max() <= PARITY * scale)


def test_verify_metadata_passes(bundle: Path, tmp_path: Path) -> None:
    """By the official schema where CONTRASTIVE_META_SCHEMA names it, else by what it demands."""
    path = Path(os.environ.get("CONTRASTIVE_META_SCHEMA", tmp_path / "schema.json"))
    if not path.is_file():
        kinds = {str: "string", dict: "object", list: "array"}
        rules = {key: {"type": kinds[kind]} for key, kind in REQUIRED.items()}
        schema = {"type": "object", "properties": rules, "required": list(rules)}
        path.write_text(json.dumps(schema))
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    given = {"filepath": str(path), "hash_val": actual, "hash_type": "sha256"}
    verify_metadata(meta_file=configs(bundle)["meta_file"], **given)


def test_verify_net_in_out_passes_with_monais_own_numbers(bundle: Path) -> None:
    verify_net_in_out(net_id="network_def", device="cpu", **configs(bundle))


@pytest.mark.slow
def test_ckpt_export_keeps_the_output(bundle: Path, tmp_path: Path) -> None:
    expected, x = exported(bundle, tmp_path / "model.ts", ckpt_export)
    script = torch.jit.load(tmp_path / "model.ts").eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        assert close(script(x), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's exporter, and a file that MONAI leaves open
def test_onnx_export_keeps_the_output(bundle: Path, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    expected, x = exported(bundle, tmp_path / "model.onnx", onnx_export)
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    (actual,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert close(actual, expected)
