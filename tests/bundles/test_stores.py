"""A bundle trained on archives of images ends with the weights of one trained on files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.__main__ import main as data_prep
from tests.bundles.conftest import Workflow, add_prior, facts
from tests.commands import PICTURES
from tests.synthetic import write_picture

STORED = {"films": "grey", "eyes": "fundus"}  # raw pictures that are not stacked, and their kind
BUNDLES = [path for path in PICTURES if facts(path)["raw"] in STORED]


def pictures(folder: Path, kind: str) -> Path:
    """Two classes of bright discs, some cut by the picture."""
    rng = np.random.default_rng(0)
    inside = np.hypot(*(np.mgrid[:40, :48] - np.array([20, 24])[:, None, None])) < 18
    for number in range(72):
        noise = rng.integers(30, 256, (40, 48, 3) if kind == "fundus" else (40, 48), np.uint8)
        pixels = np.where(inside[..., None] if kind == "fundus" else inside, noise, 2)
        name = f"{('normal', 'other')[number % 2]}/p{number // 2}_{number}.png"
        write_picture(folder / name, pixels.astype(np.uint8))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_an_epoch_on_a_store_is_an_epoch_on_files(
    bundle: Path, workflow: Workflow, tmp_path: Path
) -> None:
    kind = STORED[facts(bundle)["raw"]]
    source, ends = pictures(tmp_path / "raw", kind), []
    for name in ("files", "store"):
        words = ["folders", "--kind", kind, "--source", str(source), "--size", "32"]
        words += ["--target", str(tmp_path / name), "--workers", "1"]
        assert data_prep([*words, *(["--store"] if name == "store" else [])]) == 0
        add_prior(tmp_path / name)
        parts = workflow(
            bundle, "train", tmp_path / f"{name}_run", dataset_dir=str(tmp_path / name)
        )
        parts.initialize()
        parts.run()
        network = parts.parser.get_parsed_content("network")
        ends.append({key: value.clone() for key, value in network.state_dict().items()})
    assert not (tmp_path / "store" / "images").exists()
    torch.testing.assert_close(ends[1], ends[0], rtol=0, atol=0)
