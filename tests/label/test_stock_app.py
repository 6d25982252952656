"""What MONAI Label's own app ``monaibundle`` answers for a packed bundle."""

import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from common.deploy import load
from common.deploy.pack import pack
from tests.commands import ROOT
from tests.models import BRAINS, FILMS, deployed
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture

for module in ("monailabel", "expiring_dict", "shapely"):
    pytest.importorskip(module, reason="no MONAI Label: make test-label")


@pytest.fixture
def infer_task(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the app's tasks; a torchvision that it imports and does not use here."""
    vision, utils = types.ModuleType("torchvision"), types.ModuleType("torchvision.utils")
    utils.make_grid = utils.save_image = vision.utils = utils  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", vision)
    monkeypatch.setitem(sys.modules, "torchvision.utils", utils)
    from monailabel.tasks.infer.bundle import BundleInferTask

    return BundleInferTask


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MONAI Label's own
@pytest.mark.parametrize("bundle", [FILMS, BRAINS])
def test_the_stock_app_scores_a_packed_bundle_as_it_does(
    bundle: str, infer_task: Any, tmp_path: Path
) -> None:
    weights = deployed(tmp_path / "weights", bundle)
    with zipfile.ZipFile(pack(bundle, tmp_path, weights=weights, label=True)) as file:
        file.extractall(tmp_path)
    task = infer_task(str(tmp_path / f"{bundle}_classification"), {})
    rng = np.random.default_rng(0)
    images = [write_nifti(tmp_path / "a.nii.gz", rng.random((32, 33, 34), np.float32))]
    if bundle == FILMS:
        images = [write_picture(tmp_path / "a.png", ramp(40, 36))]
        images.append(write_dicom(tmp_path / "b.dcm", ramp(40, 36)))
    for image, own in zip(images, load(ROOT / "bundles" / bundle, weights, "cpu").predict(images)):
        _, told = task({"image": str(image), "device": "cpu"})
        said = {f"{one['label']}": one["score"] for one in told["prediction"]}
        assert {name.partition("_")[2] for name in own.values} == said.keys()
        np.testing.assert_allclose(list(said.values()), list(own.values.values()), atol=1e-6)
