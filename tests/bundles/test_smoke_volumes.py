"""The bundles of whole brains for real, on a small phantom: train, evaluate, infer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from common.data import read_manifest, read_prior, save_prior, write_manifest
from data_prep.__main__ import main as data_prep
from tests.bundles.conftest import facts, history, resumed_as_whole, run
from tests.bundles.test_smoke import assert_nearly_the_loss, read_csv, refused
from tests.commands import ROOT, VOLUMES
from tests.synthetic import write_nifti

Workflow = Callable[..., ConfigWorkflow]
Phantom = Callable[[Path], Path]

AGE, PRIOR, CASES = (
    ROOT / "bundles" / f"brain_mri_{name}"
    for name in ("age_contrastive", "decoupled_uniformity", "y_aware")
)

pytestmark = pytest.mark.slow


def result(folder: Path, name: str = "*") -> dict[str, Any]:
    (path,) = (folder / "eval").glob(f"{name}/evaluation.json")
    return dict(json.loads(path.read_text()))


def overlays(bundle: Path) -> list[str]:
    """Overlays of losses, strategies, augmentations, FairKL and priors, which prior.json writes."""
    kinds = ("loss_", "strategy_", "augmentation_", "diagnosis_", "fairkl_", "prior")
    return sorted(p.stem for p in (bundle / "configs").glob("*.json") if p.stem.startswith(kinds))


@pytest.fixture(scope="module", params=VOLUMES, ids=lambda path: path.name)
def bundle(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_training_changes_the_encoder_and_keeps_a_history(trained: Any) -> None:
    folder, before = trained
    (path,) = (folder / "eval").glob("*/network_epoch=1.pt")
    after = torch.load(path, weights_only=True)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    learned = {name for name in before if name.endswith(".weight") and ".head." not in name}
    assert len(learned) > 4
    assert learned <= changed
    kept = history(folder)
    assert {"loss", "encoder/contrastive"} <= set(kept["terms"])
    assert all(np.isfinite(values).all() for values in kept["terms"].values())


def test_evaluation_writes_the_result_the_report_and_the_model(
    bundle: Path, phantom: Phantom, trained: Any
) -> None:
    folder = trained[0]
    actual = result(folder)
    test = read_manifest(phantom(bundle))["test"]
    assert actual["kind"] == facts(bundle)["kind"]
    assert sum(actual["counts"][f"{p}_subjects"] for p in ("internal", "external")) == len(test)
    assert bundle.name in (folder / "eval" / "report.html").read_text()
    state = torch.load(folder / "models" / "model.pt", weights_only=True)
    (path,) = (folder / "eval").glob("*/network_epoch=1.pt")
    snapshot = torch.load(path, weights_only=True)
    for name in (name for name in state if name.startswith("encoder.")):
        assert torch.equal(state[name], snapshot[f"classifier.{name}"])
    assert not torch.equal(state["head.weight"], snapshot["classifier.head.weight"])


def test_inference_predicts_what_the_evaluation_read(
    bundle: Path, phantom: Phantom, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    folder, source = trained[0], phantom(bundle) / "manifest.json"
    settings = {"dataset_dir": str(source), "ckpt_dir": str(folder / "models")}
    run(workflow(bundle, "inference", tmp_path, **settings))
    header, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    by_name = {row[0]: row for row in rows}
    (path,) = (folder / "eval").glob("*/scores.npz")
    with np.load(path) as scores:
        wanted = dict(scores)
    if bundle == AGE:
        assert header[2:] == ["predicted_age", "age", "age_gap", "familiarity", "warning"]
        read = np.array([[float(v) for v in by_name[p][2:5]] for p in wanted["patient"]])
        np.testing.assert_allclose(read[:, 0], wanted["predicted_age"], atol=0.02)
        np.testing.assert_allclose(read[:, 2], read[:, 0] - read[:, 1], atol=0.011)
    else:
        assert header[2:] == ["probability_case", "call", "familiarity", "warning"]
        read = np.array([float(by_name[p][2]) for p in wanted["patient"]])
        np.testing.assert_allclose(read, 1 / (1 + np.exp(-wanted["score"])), atol=1e-3)


def test_inference_reads_volumes_of_the_grid_and_lists_the_others(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    rng = np.random.default_rng(0)
    grid = json.loads((trained[0] / "models" / "model.json").read_text())["expects"]["shape"]
    write_nifti(images / "a.nii.gz", rng.random(grid).astype(np.float32))
    write_nifti(images / "sub" / "b.nii", rng.random((20, 16, 15)).astype(np.float32))
    (images / "c.nii.gz").write_bytes((images / "a.nii.gz").read_bytes()[:100])
    settings = {"dataset_dir": str(images), "ckpt_dir": str(trained[0] / "models")}
    run(workflow(bundle, "inference", tmp_path, **settings))
    _, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    assert [row[0] for row in rows] == ["a.nii.gz"]
    _, *skipped = read_csv(tmp_path / "eval" / "skipped.csv")
    assert [row[0] for row in skipped] == ["c.nii.gz", "sub/b.nii"]
    assert "of the prepared training images, got 20 x 16 x 15" in skipped[1][1]


def test_an_encoder_is_no_part_of_inference_which_builds_what_was_trained(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    models = str(trained[0] / "models")
    other = {"_target_": "common.networks.brain_encoder", "name": "alexnet"}
    parts = workflow(bundle, "inference", tmp_path, ckpt_dir=models, encoder=other)
    assert "'encoder' is not a key of this configuration. Leave it out" in refused(parts)


def test_resume_continues_as_if_nothing_had_happened(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    whole = resumed_as_whole(bundle, workflow, tmp_path)
    assert history(whole)["terms"]["loss"][:1] == history(trained[0])["terms"]["loss"]


def test_mixed_precision_learns_as_float32_does(
    bundle: Path, workflow: Workflow, trained: Any, tmp_path: Path
) -> None:
    run(workflow(bundle, "train", tmp_path, amp=True))
    assert_nearly_the_loss(tmp_path, trained[0])


def test_every_overlay_trains_in_a_folder_of_its_own(
    bundle: Path, workflow: Workflow, tmp_path: Path
) -> None:
    names = [name for name in overlays(bundle) if name != "prior_model"]  # it trains nothing
    assert len(names) >= 8
    for name in names:
        before = "strategy_from_scratch+" if name.startswith("diagnosis_") else ""
        run(workflow(bundle, f"train+{before}{name}", tmp_path))
    default = {"loss_exponential", "strategy_y_aware", "prior_age"}
    kept = [json.loads(p.read_text()) for p in (tmp_path / "eval").glob("*/history.json")]
    assert len(kept) == len(names)
    assert len(default & set(names)) == 1
    assert all(np.isfinite(terms["terms"]["loss"]).all() for terms in kept)


def test_the_supervised_baseline_deploys_its_own_head(workflow: Workflow, tmp_path: Path) -> None:
    run(workflow(AGE, "train+loss_l1", tmp_path))
    (path,) = (tmp_path / "eval").glob("*/model.pt")
    trained = torch.load(path, weights_only=True)
    run(workflow(AGE, "train+loss_l1+evaluate", tmp_path))
    deployed = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    torch.testing.assert_close(deployed, trained, rtol=0, atol=0)
    assert result(tmp_path)["head"]["mae_internal"] > 0


def test_fine_tuning_starts_from_the_pre_trained_encoder(
    workflow: Workflow, tmp_path: Path
) -> None:
    assert "must be a model, got no such file" in refused(
        workflow(CASES, "train+finetune", tmp_path)
    )
    run(workflow(CASES, "train", tmp_path))
    pretrained = torch.load(tmp_path / "eval" / "y_aware_seed0" / "model.pt", weights_only=True)
    run(workflow(CASES, "train+finetune", tmp_path, learning_rate=1e-30, stage="_still"))
    (path,) = (tmp_path / "eval").glob("*_still_seed0/model.pt")
    tuned = torch.load(path, weights_only=True)
    weights = [name for name in tuned if name.endswith(".weight")]
    assert all(torch.equal(tuned[name], pretrained[name]) for name in weights)
    run(workflow(CASES, "train+finetune", tmp_path))
    run(workflow(CASES, "train+finetune+evaluate", tmp_path))
    assert result(tmp_path, "y_aware_finetuned_seed0")["deployed_head"] == "trained"
    tuned = torch.load(tmp_path / "models" / "model.pt", weights_only=True)
    assert not any(torch.equal(tuned[name], pretrained[name]) for name in weights)


def tables(folder: Path, phantom: Path) -> Path:
    """The subjects of the phantom with a table of 284 features that tells their age."""
    manifest = read_manifest(phantom)
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part in ("training", "validation", "test"):
        entries = manifest[part]
        rows = np.array([[entry["age"] / 50] for entry in entries]) + rng.normal(0, 0.1, 284)
        np.save(folder / f"{part}.npy", rows.astype(np.float32))
        for index, entry in enumerate(entries):
            entry |= {"image": f"{part}.npy", "index": index}
    write_manifest(folder, manifest)
    return folder


def test_a_table_goes_from_training_to_a_submission(
    phantom: Phantom, workflow: Workflow, tmp_path: Path
) -> None:
    data = {"dataset_dir": str(tables(tmp_path / "data", phantom(AGE)))}
    plain = {**data, "encoder": {"_target_": "common.networks.TableEncoder", "in_features": 284}}
    for names in ("train+data_roi", "train+data_roi+evaluate", "train+data_roi+export_submission"):
        run(workflow(AGE, names, tmp_path, **plain))
    folder = tmp_path / "eval" / "submissions" / "exponential_mlp_roi"
    assert {p.name for p in folder.iterdir()} == {"estimator.py", "weights.pth", "metadata.pkl"}
    source = str(tmp_path / "data" / "manifest.json")
    run(workflow(AGE, "inference", tmp_path, dataset_dir=source))
    _, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    assert len(rows) == 80


def people(path: Path, columns: str = "id,age,site,left,right") -> Path:
    """Four people of each of three sites at each of five ages, and what follows their age."""
    rng = np.random.default_rng(0)
    rows = [columns]
    for number in range(60):
        age = 20 + 10 * (number // 12)
        values = {"id": f"{number:03d}", "age": age, "site": "abc"[number % 3]}
        values |= {name: round(age / 50 + rng.normal(0, 0.1), 3) for name in ("left", "right")}
        rows.append(",".join(str(values[name]) for name in columns.split(",")))
    path.write_text("\n".join(rows))
    return path


def test_a_table_goes_from_a_file_to_ages_of_new_people(workflow: Workflow, tmp_path: Path) -> None:
    source, data = people(tmp_path / "people.csv"), str(tmp_path / "data")
    words = ["--source", str(source), "--id", "id", "--external-sites", "c", "--workers", "1"]
    assert data_prep(["table", *words, "--target", data]) == 0
    own = {"encoder": json.loads((AGE / "configs" / "train.json").read_text())["encoder"]}
    for names in ("train+data_table", "train+data_table+evaluate"):
        run(workflow(AGE, names, tmp_path, dataset_dir=data, **own))
    new = str(people(tmp_path / "new.csv", "right,left,age"))
    run(workflow(AGE, "inference", tmp_path, dataset_dir=new))
    header, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    assert [rows[0][0], len(rows)] == ["new.csv, line 2", 60]
    errors = [abs(float(row[header.index("age_gap")])) for row in rows]
    assert np.mean(errors) < 10, "guessing the mean is 12 years off"


def subjects(folder: Path, phantom: Path) -> Path:
    """The phantom's subjects as OpenBHB gives them: one file each, and a table."""
    lines = ["participant_id\tage\tsex\tsite\tsplit"]
    for part in ("training", "validation", "test"):
        for entry in read_manifest(phantom)[part]:
            name, split = entry["patient"], entry["split"]
            volume = np.load(phantom / entry["image"], mmap_mode="r")[entry["index"]]
            path = folder / f"sub-{name}" / f"sub-{name}_preproc-cat12vbm_desc-gm_T1w.npy"
            path.parent.mkdir(parents=True)
            np.save(path, np.asarray(volume, np.float32)[None, None])
            lines.append(f"{name}\t{entry['age']}\t0\t{entry['site']}\t{split}")
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    mask = np.zeros((16, 16, 16), bool)
    mask[2:-2, 2:-2, 3:-3] = True
    np.save(folder.with_name("inside.npy"), mask)
    return folder


def test_files_of_subjects_become_predicted_ages_through_a_mask(
    phantom: Phantom, workflow: Workflow, tmp_path: Path
) -> None:
    source, data = subjects(tmp_path / "source", phantom(AGE)), tmp_path / "data"
    command = f"openbhb --modality vbm --source {source} --target {data} --workers 1"
    assert data_prep([*command.split(), "--mask", str(tmp_path / "inside.npy")]) == 0
    for names in ("train", "train+evaluate"):
        run(workflow(AGE, names, tmp_path, dataset_dir=str(data)))
    run(workflow(AGE, "inference", tmp_path, dataset_dir=str(source)))
    _, *rows = read_csv(tmp_path / "eval" / "predictions.csv")
    assert len(rows) == 80
    predicted = {row[0].split("/")[0].removeprefix("sub-"): float(row[2]) for row in rows}
    (path,) = (tmp_path / "eval").glob("*/scores.npz")
    with np.load(path) as scores:
        wanted = dict(zip(scores["patient"].tolist(), scores["predicted_age"]))
    assert len(wanted) == 24
    for patient, age in wanted.items():
        assert predicted[patient] == pytest.approx(age, abs=0.05)


def test_a_prior_goes_from_the_images_to_the_loss(
    phantom: Phantom, workflow: Workflow, tmp_path: Path
) -> None:
    assert "must be a table of priors, got no such" in refused(
        workflow(PRIOR, "train+prior_vae", tmp_path)
    )
    for names in ("train+prior", "train+prior+evaluate", "train+prior_vae"):
        run(workflow(PRIOR, names, tmp_path))
    entries = read_manifest(phantom(PRIOR))["training"]
    keys = [f"{entry['image']}[{entry['index']}]" for entry in entries]
    table = read_prior(tmp_path / "eval" / "vae_seed0" / "prior.npz", keys)
    assert table.shape == (len(entries), 64)
    assert result(tmp_path, "vae_seed0")["probe"]["auc_external"] > 0
    folder = tmp_path / "eval" / "decoupled_uniformity_vae_seed0"
    other = {"prior_file": str(tmp_path / "other.npz"), "prior_suffix": "_other"}
    weights = str(folder / "model.pt")
    run(workflow(PRIOR, "train+prior_model", tmp_path, prior_weights=weights, **other))
    assert read_prior(other["prior_file"], keys).shape == (len(entries), 8)
    run(workflow(PRIOR, "train+prior_vae", tmp_path, **other))
    files = [tmp_path / "eval" / f"decoupled_uniformity{x}_seed0" for x in ("_vae", "_other")]
    losses = [json.loads((f / "history.json").read_text())["terms"]["loss"] for f in files]
    assert losses[0] != losses[1]


def test_a_table_of_other_subjects_is_refused(
    phantom: Phantom, workflow: Workflow, tmp_path: Path
) -> None:
    entries = read_manifest(phantom(PRIOR))["training"]
    first, count = f"{entries[0]['image']}[{entries[0]['index']}]", len(entries)
    save_prior(tmp_path / "a.npz", [first, "else.npy[3]"], np.eye(2))
    parts = workflow(PRIOR, "train+prior_vae", tmp_path, prior_file=str(tmp_path / "a.npz"))
    assert f"must hold every image of the data, lacks {count - 1} of {count}: " in refused(parts)


def test_sites_are_left_out_in_five_folds(trained: Any, bundle: Path) -> None:
    if bundle != PRIOR:
        pytest.skip("leaves out each site alone")
    actual = result(trained[0])
    assert len(actual["site_names"]) == 5
    assert {row["site"] for row in actual["leave_site_out"]["sites"]} <= set(range(5))
