"""Whether models tell strangers: what is refused, what is warned of, and how often wrongly.

``python benchmarks/familiarity.py --data DIR --work DIR --out FILE --markdown FILE``

`data` holds ``cxr_kermany_224``, ``dicom``, ``fundus_dr_srahim``, ``ixi_t1_hh``, ``t1_heads`` and
``brain_age_tables``. A chest model (the bundle, all labels, the official training films) and a
small brain-age model (T1 brains of one scanner, 6 mm) are trained briefly, then given what they
were not made for. The third part calibrates ages on reference scans of a site never seen. The
trained chest model is kept in `work`.
"""

import argparse
import csv
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from familiarity_films import chest_groups
from familiarity_sites import REFERENCE, calibrate, sites
from monai.bundle import ConfigWorkflow
from nibabel.processing import resample_to_output
from paired_runs import markdown, provenance, publish

import common
from common.deploy import Predictor, save_model
from common.deploy.expected import Expected
from common.deploy.familiarity import WARN_BELOW, Familiarity
from common.networks import ConvEncoder, ImageClassifier
from data_prep.__main__ import main as data_prep

CHEST, BRAIN = "chest_xray_learned_transforms", "brain_mri_age_contrastive"
CONFIGS = Path(__file__).parents[1] / "bundles" / CHEST / "configs"
GRID = (28, 34, 28)
CHANNELS = [4, 8, 16]


def train_chest(source: Path, work: Path, options: argparse.Namespace) -> Predictor:
    """Prepare the official split, train, evaluate, and load what was deployed."""
    if not (work / "models" / "model.pt").is_file():
        with zipfile.ZipFile(source / "images.zip") as archive:
            archive.extractall(work / "source")
        with (source / "labels.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        with (work / "labels.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "label", "patient", "split"])
            for row in rows:  # whether the parts share their patients' numbers is not known
                patient = f"{row['split']}_{row['patient']}"
                table.writerow([row["file"], row["label"], patient, row["split"]])
        words = ["chest_xray", "--source", str(work / "source"), "--target", str(work / "data")]
        if data_prep([*words, "--labels", str(work / "labels.csv"), "--size", "224"]):
            raise SystemExit("familiarity: data_prep chest_xray failed, see above.")
        settings = {
            "dataset_dir": str(work / "data"),
            "output_dir": str(work / "eval"),
            "ckpt_dir": str(work / "models"),
            "image_size": options.size,
            "epochs": options.epochs,
            "snapshot_interval": options.epochs,
            "val_interval": options.epochs + 1,
            "batch_size": 32,
            "learning_rate": 3e-4,
        }
        names = ["train", "strategy_supervised_100"]
        run(names, **settings)
        run([*names, "evaluate"], **settings, run=["$@evaluation.run()"])
    return common.load(CHEST, work / "models")


def run(names: Sequence[str], **settings: Any) -> None:
    workflow = ConfigWorkflow(
        config_file=[str(CONFIGS / f"{name}.json") for name in names],
        workflow_type="train",
        logging_file=False,
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def counted(predictor: Predictor, groups: dict[str, list[Path]]) -> Iterator[dict[str, Any]]:
    """What became of the files of each group."""
    for name, paths in groups.items():
        predictions = predictor.predict(paths)
        kept = [one for one in predictions if not one.reason]
        refused = [one for one in predictions if one.reason]
        unlike = ["trained on" in one.reason or "training images" in one.reason for one in refused]
        percent = [float(one.columns["familiarity"]) for one in kept]
        warned = [str(one.columns["warning"]) for one in kept]
        values = [next(iter(one.values.values())) for one in kept]
        yield {
            "group": name,
            "files": len(predictions),
            "refused": sum(unlike),
            "unreadable": len(refused) - sum(unlike),
            "unfamiliar": sum(value < WARN_BELOW for value in percent),
            "other_warning": sum(
                bool(text) and not (text.startswith("unlike") and ";" not in text)
                for text in warned
            ),
            "warned": sum(map(bool, warned)),
            "predicted_without_a_word": sum(not text for text in warned),
            "median_familiarity": float(np.median(percent)) if percent else None,
            "median_prediction": float(np.median(values)) if values else None,
        }


def train_brain(data: Path, work: Path, epochs: int) -> tuple[Predictor, dict[str, list[Path]]]:
    """A small network on T1 brains of one scanner; and what it is given."""
    with (data / "ixi_t1_hh" / "participants.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load(data / "ixi_t1_hh" / "ixi_hh_t1_3mm_uint8.npz") as stored:
        t1 = torch.from_numpy(stored["t1"])
    known = np.array([k for k, row in enumerate(rows) if row["age"]])
    order = known[np.random.default_rng(0).permutation(len(known))]
    age = np.array([float(rows[k]["age"]) for k in order])
    x = torch.nn.functional.avg_pool3d(t1[order].unsqueeze(1).float() / 255, 2)
    train, held_out, test = slice(0, 110), slice(110, 140), slice(140, None)
    torch.manual_seed(0)
    network = ImageClassifier(ConvEncoder(3, channels=CHANNELS), CHANNELS[-1])
    fit(network, x[train], torch.from_numpy(age[train]).float(), epochs)
    with torch.no_grad():
        h, unseen = network.encode(x[train]).numpy(), network.encode(x[held_out]).numpy()
    familiarity = Familiarity.fit(h, unseen)
    assert familiarity is not None
    entries = [{"age": float(years)} for years in age[train]]
    encoder = {"_target_": "common.networks.ConvEncoder", "spatial_dims": 3, "channels": CHANNELS}
    record = {
        **{"bundle": BRAIN, "strategy": "l1", "seed": 0, "head_fitted": True, "classes": ["age"]},
        **{"dials": {"representation": "encoder"}, "config": {"encoder": encoder}},
        "changed": ["encoder"],
        "expects": Expected.gather([x[train].numpy()], entries, ["MR"]).record(),
        "familiarity": familiarity.record(),
    }
    save_model(work / "models" / "model.pt", network, record)
    return common.load(BRAIN, work / "models"), brain_groups(data, work, x[test].numpy()[:, 0])


def fit(network: ImageClassifier, x: torch.Tensor, age: torch.Tensor, epochs: int) -> None:
    """Absolute error, Adam, batches of 22; the last bias starts at the mean age."""
    network.head.bias.data.fill_(float(age.mean()))
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    network.train()
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(22):
            optimizer.zero_grad()
            (network(x[rows])[:, 0] - age[rows]).abs().mean().backward()
            optimizer.step()
        schedule.step()
    network.eval()


def brain_groups(data: Path, work: Path, test: np.ndarray) -> dict[str, list[Path]]:
    """Volumes of each kind, and files that are none."""
    heads = sorted((data / "t1_heads").glob("*.nii.gz"))
    generator = np.random.default_rng(0)
    made = {
        "other brains of the scanner": list(test),
        "raw heads, unprepared, forced onto the grid": [on_grid(path) for path in heads],
        "not scaled (values times 300)": [300 * brain for brain in test],
        "inverted": [1 - brain for brain in test],
        "head to foot turned": [brain[:, :, ::-1] for brain in test],
        "noise": [generator.uniform(size=GRID) for _ in test],
    }
    groups = {
        name: [as_nifti(work / "given" / f"{name}_{i}.nii.gz", x) for i, x in enumerate(volumes)]
        for name, volumes in made.items()
    }
    groups["raw heads, unprepared, as they are"] = heads
    films = [data / "dicom" / "wg04" / "RG1_J2KI.dcm", *(data / "dicom" / "txrv").glob("*.png")]
    return groups | {"chest films (DICOM and PNG)": films}


def as_nifti(path: Path, volume: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(volume.astype(np.float32), np.diag([6.0, 6, 6, 1]))
    nibabel.save(image, path)
    return path


def on_grid(path: Path) -> np.ndarray:
    """A head at 6 mm about its middle, skull and all, divided by its 99.5th percentile."""
    image = nibabel.as_closest_canonical(nibabel.load(path))
    voxels = np.asarray(resample_to_output(image, (6.0, 6.0, 6.0), order=1).dataobj)
    padded = np.pad(voxels, 20)
    start = [(n - side) // 2 for n, side in zip(padded.shape, GRID)]
    cut = padded[tuple(slice(a, a + side) for a, side in zip(start, GRID))]
    return np.clip(cut / np.percentile(cut[cut > 0], 99.5), 0, 1)


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    settings = result["settings"]
    lines = [
        "# Does this scan look like the training data?",
        "",
        "<!-- figures: familiarity -->",
        "`python benchmarks/familiarity.py --data DIR --work DIR --out FILE --markdown FILE`",
        "",
        "Refused: listed in skipped.csv with the reason, by the header or the grid. Unfamiliar: "
        f"the embedding's familiarity is below {WARN_BELOW:.0f} %. Other: the header or the grey "
        "values are unlike the training's. Without a word: what a user would not hear of. "
        f"One thread of a {result['processor']} CPU, torch {result['torch']}, {result['date']}, "
        f"code of {result['commit']}.",
        "",
        f"## A chest model (Kermany, {settings['size']} px, {settings['epochs']} epochs)",
        "",
        table(result["chest"], "probability"),
        "",
        f"## A brain-age model (IXI T1 of one scanner, 6 mm, {settings['brain_epochs']} epochs)",
        "",
        table(result["brain"], "age"),
        "",
        f"## Ages of a site never seen, after {REFERENCE} reference scans",
        "",
        "Ridge on cortical thickness, one of six sites left out in turn; mean over random "
        "references. Covered: how often the 95 % interval of the offset holds the mean gap of all "
        "other scans. Within: share of scans in the range that is told for healthy people. "
        "Divided by the slope: what would come of correcting ages by the slope too, where its "
        "interval excludes 1. Refused: references whose predictions fall with age.",
        "",
        sites(result["calibration"]),
        "",
    ]
    return "\n".join(lines)


def table(rows: Sequence[dict[str, Any]], value: str) -> str:
    head = ["given", "files", "refused", "unreadable", "unfamiliar", "other", "without a word"]
    head += ["median familiarity, %", f"median {value}"]
    body = []
    for row in rows:
        keys = ("files", "refused", "unreadable", "unfamiliar", "other_warning")
        numbers = [str(row[key]) for key in (*keys, "predicted_without_a_word")]
        medians = [
            "" if row[key] is None else f"{row[key]:.3f}"
            for key in ("median_familiarity", "median_prediction")
        ]
        body.append([row["group"], *numbers, *medians])
    return markdown(head, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and models")
    parser.add_argument("--size", type=int, default=48, help="pixels of a film's side")
    parser.add_argument("--epochs", type=int, default=2, help="of the chest model")
    parser.add_argument("--brain-epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chest_work, brain_work = options.work / "chest", options.work / "brain"
    chest_work.mkdir(parents=True, exist_ok=True)
    chest = train_chest(options.data / "cxr_kermany_224", chest_work, options)
    brain, given = train_brain(options.data, brain_work, options.brain_epochs)
    tables = options.data / "brain_age_tables"
    result = {
        **provenance(),
        "date": time.strftime("%Y-%m-%d"),
        "settings": {key: getattr(options, key) for key in ("size", "epochs", "brain_epochs")},
        "chest": list(counted(chest, chest_groups(options.data, chest_work))),
        "brain": list(counted(brain, given)),
        "calibration": calibrate(tables / "openneuro_thickness_multisite.csv"),
    }
    publish(result, page(result), options.out, options.markdown)


if __name__ == "__main__":
    main()
