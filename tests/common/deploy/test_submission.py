"""The submission to the challenge stands alone and embeds as the network does."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from common.checks import InputError
from common.deploy import export_submission
from common.deploy.submission import BLOCKS
from common.deploy.submission_estimator import ROW
from common.networks import EmbeddingEncoder, ImageClassifier, Projector, StandardizedEncoder

# What the challenge's workflow does with a submission, without this package and without MONAI.
WORKFLOW = """
import importlib.util, sys
import numpy as np
sys.modules["common"] = sys.modules["monai"] = None
spec = importlib.util.spec_from_file_location("estimator", sys.argv[1] + "/estimator.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
X = np.load(sys.argv[2], mmap_mode="r")
estimator = module.get_estimator()
features = estimator.fit(None, None)
np.save(sys.argv[3] + "/all.npy", features.predict(X))
for item in estimator:
    if hasattr(item, "indices"):
        item.indices = np.array([2, 0])
np.save(sys.argv[3] + "/some.npy", features.predict(X))
"""


class Pooled(nn.Module):
    """Volumes averaged to 4³, then a line and a normalisation over the batch."""

    out_features = 6

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.AdaptiveAvgPool3d(4), nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def volumes_network() -> ImageClassifier:
    torch.manual_seed(0)
    encoder = EmbeddingEncoder(StandardizedEncoder(Pooled()), Projector(6, 8, 5))
    return ImageClassifier(encoder, 5)


def table_network() -> ImageClassifier:
    torch.manual_seed(0)
    return ImageClassifier(Projector(284, 16, 5), 5)


def vbm_mask() -> NDArray[np.bool_]:
    mask = np.zeros((121, 145, 121), dtype=bool)
    mask.flat[np.random.default_rng(0).permutation(mask.size)[: BLOCKS["vbm"][1]]] = True
    return mask


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "train.npy"
    np.save(path, np.random.default_rng(0).random((3, ROW), dtype=np.float32))
    return path


def submitted(folder: Path, rows: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    """Features by the workflow, of all rows and of rows 2 and 0."""
    out = folder / "out"
    out.mkdir()
    words = [sys.executable, "-W", "error::FutureWarning", "-c", WORKFLOW]
    done = subprocess.run(
        [*words, str(folder / "submissions" / "mine"), str(rows), str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=out,
    )
    assert done.returncode == 0, done.stderr
    return np.load(out / "all.npy"), np.load(out / "some.npy")


def test_the_blocks_fill_a_row_of_the_challenge() -> None:
    ends = [0, *(start + columns for start, columns in BLOCKS.values())]
    assert [start for start, _ in BLOCKS.values()] == ends[:-1]
    assert ends[-1] == ROW == 3_659_572


def test_a_submission_on_volumes_embeds_as_the_network_does(tmp_path: Path, rows: Path) -> None:
    network, mask = volumes_network(), vbm_mask()
    weights = tmp_path / "model.pt"
    torch.save(network.state_dict(), weights)
    np.save(tmp_path / "mask.npy", mask)
    fresh = ImageClassifier(EmbeddingEncoder(StandardizedEncoder(Pooled()), Projector(6, 8, 5)), 5)
    target = tmp_path / "submissions" / "mine"
    assert export_submission(target, fresh, "vbm", tmp_path / "mask.npy", weights) == target
    volume = np.zeros((3, 1, *mask.shape), dtype=np.float32)
    volume[:, 0, mask] = np.load(rows, mmap_mode="r")[:, : BLOCKS["vbm"][1]]
    with torch.no_grad():
        expected = network.eval().encode(torch.from_numpy(volume)).numpy()
    assert np.std(expected, axis=0).min() > 1e-6
    every, some = submitted(tmp_path, rows)
    np.testing.assert_allclose(every, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(some, expected[[2, 0]], rtol=0, atol=1e-5)


def test_a_submission_on_regions_reads_their_columns(tmp_path: Path, rows: Path) -> None:
    network = table_network()
    export_submission(tmp_path / "submissions" / "mine", network, "vbm_roi", about={"seed": 3})
    start, columns = BLOCKS["vbm_roi"]
    with torch.no_grad():
        regions = torch.from_numpy(np.load(rows, mmap_mode="r")[:, start : start + columns].copy())
        expected = network.eval().encode(regions).numpy()
    every, _ = submitted(tmp_path, rows)
    np.testing.assert_allclose(every, expected, rtol=0, atol=1e-5)
    facts = pickle.loads((tmp_path / "submissions" / "mine" / "metadata.pkl").read_bytes())
    assert facts["block"] == "vbm_roi"
    assert facts["seed"] == 3
    json.dumps(facts)


REFUSED = {
    "block": ({"block": "t1"}, "block must be one of vbm, quasiraw, .* got 't1'"),
    "mask": (
        {"block": "vbm", "mask": np.ones((3, 3, 3), dtype=bool)},
        "mask must be bool with 519945 voxels for vbm, got bool with 27",
    ),
    "no mask": ({"block": "vbm", "mask": None}, "mask must be given for vbm, got none"),
    "wide": (
        {"network": ImageClassifier(nn.Linear(284, 10_001), 10_001)},
        "the challenge takes at most 10000 features, got 10001",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_challenge_would_not_take_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    arguments = {"network": table_network(), "block": "vbm_roi"} | change
    with pytest.raises(InputError, match=f"^export_submission: {message}"):
        export_submission(tmp_path / "mine", **arguments)
    assert not (tmp_path / "mine").exists()


@pytest.mark.bad_input("files")
@pytest.mark.parametrize("content", [None, b"", b"no array"], ids=["absent", "empty", "text"])
def test_a_mask_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes | None) -> None:
    mask = tmp_path / "mask.npy"
    if content is not None:
        mask.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{mask}: must (exist|be an array)"):
        export_submission(tmp_path / "mine", table_network(), "vbm", mask)
    assert not (tmp_path / "mine").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(volumes_network().state_dict(), tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt: must hold the 6 tensors of this network"):
        export_submission(
            tmp_path / "mine", table_network(), "vbm_roi", weights=tmp_path / "model.pt"
        )


class Choosy(nn.Module):
    """Takes another path for other input, which a script made by example cannot."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] if len(x) == 2 else -x[:, :3]


def test_a_network_that_cannot_be_scripted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scripted network must give the features of the network"):
        export_submission(tmp_path / "mine", ImageClassifier(Choosy(), 3), "vbm_roi")
