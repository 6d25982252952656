"""MONAI's own commands on every bundle: what a stock tool does with it."""

import hashlib
import json
import os
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

PARITY = 1e-4  # of the output's scale

pytestmark = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def configs(bundle: Path) -> dict[str, str]:
    return {
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.json"),
    }


def small(bundle: Path) -> dict[str, Any]:
    """What makes the network small; nothing where it reads images of one size only.

    A DenseNet of a hundred layers takes half a minute to export: two blocks stand for it.
    """
    formats = json.loads(Path(configs(bundle)["meta_file"]).read_text())["network_data_format"]
    fixed = all(isinstance(size, int) for size in formats["inputs"]["image"]["spatial_shape"])
    dials = {} if fixed else narrow(bundle, "inference")
    encoder = json.loads(Path(configs(bundle)["config_file"]).read_text())["encoder"]
    if encoder["_target_"].endswith("DenseNetEncoder"):
        dials["encoder"] = {"_target_": "common.networks.ConvEncoder", "channels": [4, 8]}
    return dials


def network_of(bundle: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    """The network as inference.json has it, narrow, and an input as metadata.json has it."""
    parser = ConfigParser()
    parser.read_config(configs(bundle)["config_file"])
    parser.read_meta(configs(bundle)["meta_file"])
    parser.update(small(bundle))
    torch.manual_seed(0)
    network = parser.get_parsed_content("network_def").eval()
    return network, torch.rand(_get_fake_input_shape(parser))


def exported(bundle: Path, target: Path, command: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """What `command` writes, and the output of the network that it had, on one input."""
    network, x = network_of(bundle)
    for buffer in (m for m in network.modules() if hasattr(m, "running_var")):
        torch.nn.init.normal_(buffer.running_mean, std=0.1)
    torch.save(network.state_dict(), target.with_suffix(".pt"))
    command(
        net_id="network_def",
        filepath=str(target),
        ckpt_file=str(target.with_suffix(".pt")),
        **configs(bundle),
        **small(bundle),
    )
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
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    given = {"filepath": str(path), "hash_val": found, "hash_type": "sha256"}
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
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert close(found, expected)
