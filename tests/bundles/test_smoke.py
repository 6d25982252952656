"""Every bundle of pictures for real, on a small phantom: train, evaluate, infer."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from common.checks import InputError
from common.data import read_manifest
from tests.bundles.conftest import facts, history, images_of, narrow, resumed_as_whole, run
from tests.commands import PICTURES
from tests.synthetic import ramp, write_dicom, write_nifti

Workflow = Callable[..., ConfigWorkflow]
Phantom = Callable[[Path], Path]

pytestmark = pytest.mark.slow


def refused(parts: ConfigWorkflow) -> str:
    """The `InputError` that a run ends in, however deep MONAI wrapped it."""
    with pytest.raises(RuntimeError) as caught:
        run(parts)
    error: BaseException | None = caught.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__ or error.__context__
    return str(error)


def assert_nearly_the_loss(half: Path, single: Path) -> None:
    """The first epoch in half precision was one, and had the loss of that in float32 to 2 %."""
    (loss,), (exact,) = (history(folder)["terms"]["loss"] for folder in (half, single))
    assert loss != exact
    assert loss == pytest.approx(exact, rel=0.02)


@pytest.fixture(scope="module", params=PICTURES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_training_changes_every_network(trained: Any) -> None:
    folder, before = trained
    (path,) = (folder / "eval").glob("*/network_epoch=1.pt")
    after = torch.load(path, weights_only=True)
    assert set(after) == set(before)
    learned = {name for name in before if name.endswith((".weight", ".bias"))}
    changed = {name for name in learned if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in learned} == {name.split(".")[0] for name in changed}
    assert any(name.startswith("classifier.encoder.") for name in changed)


def test_training_keeps_a_history(bundle: Path, trained: Any) -> None:
    kept = history(trained[0])
    terms = facts(bundle)["terms"]
    assert kept["epoch"] == [1]
    assert {"loss", *terms} <= set(kept["terms"])
    assert all(np.isfinite(values).all() for values in kept["terms"].values())
    assert not list((trained[0] / "eval").glob("*/tensorboard")), "it was not asked for"


def test_evaluation_writes_the_result_the_report_and_the_model(
    bundle: Path, phantom: Phantom, trained: Any
) -> None:
    folder = trained[0]
    (path,) = (folder / "eval").glob("*/evaluation.json")
    result = json.loads(path.read_text())
    test = read_manifest(phantom(bundle))["test"]
    assert result["bundle"] == bundle.name
    assert result["counts"]["test_images"] == len(test)
    if "transform" in result:
        assert result["transform"]["n_lesion_images"] == sum("mask" in entry for entry in test)
    figures = [result[name] for name in ("auc_mean", "accuracy", "probe") if name in result]
    assert 0 <= figures[0] <= 1
    report = (folder / "eval" / "report.html").read_text()
    assert bundle.name in report
    assert 'http-equiv="refresh"' not in report
    about = json.loads((folder / "models" / "model.json").read_text())
    assert about["bundle"] == bundle.name


def mixed_folder(folder: Path, images: Path, volume: bool = True, modality: str = "DX") -> Path:
    """A PNG, a DICOM, a NIfTI volume with two slices that are not black, a broken PNG, a note."""
    folder.mkdir()
    image = min(path for path in images.rglob("*") if path.is_file())
    shutil.copy(image, folder / "a.png")
    write_dicom(folder / "b.dcm", ramp(40, 36), Modality=modality)
    if volume:
        voxels = np.zeros((24, 20, 6), np.int16)
        voxels[2:-2, 2:-2, 2:4] = ramp(20, 16)[:, :, None]
        write_nifti(folder / "sub" / "c.nii.gz", voxels)
    (folder / "d.png").write_bytes(Path(image).read_bytes()[:100])
    (folder / "notes.txt").write_text("no image")
    return folder


def read_csv(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_inference_predicts_every_kind_of_image_and_lists_the_broken_one(
    bundle: Path, phantom: Phantom, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    modality = metadata["network_data_format"]["inputs"]["image"].get("modality", "OT")
    source = images_of(bundle, phantom(bundle))
    images = mixed_folder(folder, source, facts(bundle)["slices"], modality)
    settings = {"dataset_dir": str(images), "ckpt_dir": str(trained[0] / "models")}
    parts = run(workflow(bundle, "inference", tmp_path, **settings))
    header, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    names = parts.parser.get_parsed_content("evaluator").names
    assert header == ["file", "slice", *names, "call", "familiarity", "warning"]
    slices = [("sub/c.nii.gz", "2"), ("sub/c.nii.gz", "3")] if facts(bundle)["slices"] else []
    assert [(row[0], row[1]) for row in rows] == [("a.png", ""), ("b.dcm", ""), *slices]
    with np.load(tmp_path / "eval" / "embeddings.npz") as embeddings, torch.no_grad():
        assert embeddings["name"].tolist() == [row[0] for row in rows]
        head = parts.parser.get_parsed_content("network_def").head
        logits = head(torch.tensor(embeddings["h"]))
    apart = "sigmoid" in json.dumps(parts.parser["postprocessing"]["transforms"])
    expected = logits.sigmoid() if apart else logits.softmax(dim=1)
    written = torch.tensor([[float(value) for value in row[2 : 2 + len(names)]] for row in rows])
    torch.testing.assert_close(written, expected, rtol=0, atol=1e-6)
    _, *skipped = read_csv(tmp_path / "eval" / "skipped.csv")
    assert [row[0] for row in skipped] == ["d.png"]
    assert "d.png" in skipped[0][1]


def test_the_deployed_encoder_is_that_of_the_last_snapshot(trained: Any) -> None:
    folder = trained[0]
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    (path,) = (folder / "eval").glob("*/network_epoch=1.pt")
    snapshot = torch.load(path, weights_only=True)
    encoder = [name for name in state if name.startswith("encoder.")]
    assert len(encoder) == len(state) - 2
    for name in encoder:
        assert torch.equal(state[name], snapshot[f"classifier.{name}"])


def test_an_image_size_is_no_dial_of_inference_which_reads_it_from_the_model(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    models = str(trained[0] / "models")
    parts = workflow(bundle, "inference", tmp_path, ckpt_dir=models, image_size=64)
    assert "'image_size' is not a key of this configuration. Leave it out" in refused(parts)
    parser = workflow(bundle, "inference", tmp_path, ckpt_dir=models).parser
    model = parser.get_parsed_content("model")
    assert model["image_size"] == narrow(bundle)["image_size"]


def test_the_same_seed_repeats_and_resume_continues(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    run(workflow(bundle, "train", tmp_path / "other", seed=1))
    first = history(trained[0])["terms"]["loss"]
    assert history(resumed_as_whole(bundle, workflow, tmp_path))["terms"]["loss"][:1] == first
    assert history(tmp_path / "other")["terms"]["loss"] != first


def test_mixed_precision_learns_as_float32_does(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    run(workflow(bundle, "train", tmp_path, amp=True))
    assert_nearly_the_loss(tmp_path, trained[0])


def test_a_spoilt_checkpoint_stops_the_run_and_leaves_the_model(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(trained[0], folder)
    (path,) = (folder / "eval").glob("*/checkpoint.pt")
    path.write_bytes(path.read_bytes()[:1000])
    model = (folder / "models" / "model.pt").read_bytes()
    parts = workflow(bundle, "train", folder, epochs=2, resume=True)
    assert "checkpoint.pt: must be a whole file of tensors, got an error" in refused(parts)
    assert (folder / "models" / "model.pt").read_bytes() == model


def test_all_strategies_train_and_evaluate(
    bundle: Path, workflow: Workflow, tmp_path: Path
) -> None:
    configs = bundle / "configs"
    rows = tuple(facts(bundle)["rows"])
    names = sorted(path.stem for path in configs.glob("*.json") if path.name.startswith(rows))
    assert len(names) >= 3
    for name in names:
        run(workflow(bundle, f"train+{name}", tmp_path))
        run(workflow(bundle, f"train+{name}+evaluate", tmp_path))
    results = [json.loads(p.read_text()) for p in (tmp_path / "eval").glob("*/evaluation.json")]
    assert {result["strategy"] for result in results} == {name.split("_", 1)[1] for name in names}
    report = (tmp_path / "eval" / "report.html").read_text()
    assert report.count("<svg") >= 2
