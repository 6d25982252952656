"""Real chest X-rays end to end: prepare, train, evaluate and predict with the chest X-ray bundle.

``python benchmarks/chest_xray_kermany.py --source cxr_kermany_224 --dicom dicom --work DIR``

`source` holds ``images.zip`` and ``labels.csv`` (file, label, patient, ...) of Kermany's paediatric
X-rays at 224 pixels; `dicom` holds the two films of `FILMS`, other hospitals' adults in DICOM. The
patients are split anew by `data_prep chest_xray`: the original parts share patient numbers.

This shows that the bundle runs on real films. It says nothing about transformations: the task is
saturated, which the baselines (pixels, and an untrained encoder) show beside the strategies.
"""

import argparse
import csv
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from kermany import Row, extracted
from monai.bundle import ConfigWorkflow
from paired_runs import provenance, publish

from common.data import keep_labels, load_datalist, seeded_order
from data_prep.__main__ import main as data_prep

BUNDLE = "chest_xray_learned_transforms"
CONFIGS = Path(__file__).parents[1] / "bundles" / BUNDLE / "configs"
STRATEGIES = ("supervised_10", "random", "random_supervised", "self_supervised_supervised")
FILMS = {
    "wg04/RG1_J2KI.dcm": "CR chest, MONOCHROME1, JPEG 2000 (NEMA WG04)",
    "txrv/nih_siim_cr_chest_pa_mono2.dcm": "CR chest, MONOCHROME2 (NIH, through SIIM-ACR)",
}
EXAMPLES = 3  # validation images of each class to predict: the head is fitted on the test part


def prepare(source: Path, target: Path, size: int) -> None:
    """Extract, write the labels without the original parts, and run data_prep."""

    def columns(row: Row) -> Row:
        return {"image": row["file"], "label": row["label"], "patient": row["patient"]}

    with extracted(source, columns) as words:
        words = ["chest_xray", *words, "--target", str(target), "--workers", "1"]
        if data_prep([*words, "--size", str(size)]):
            raise SystemExit("chest_xray_kermany: data_prep chest_xray failed, see above.")


def training_part(data: Path, limit: int, seed: int) -> list[dict[str, Any]]:
    """Training images of whole patients, at most `limit`, labelled for a tenth of the patients."""
    entries = load_datalist(data, "training")
    chosen: list[dict[str, Any]] = []
    for patient in seeded_order({str(entry["patient"]) for entry in entries}, seed):
        mine = [entry for entry in entries if str(entry["patient"]) == patient]
        if len(chosen) + len(mine) <= limit:
            chosen += mine
    return keep_labels(chosen, 0.1, seed)


def run(names: Sequence[str], kind: str, **settings: Any) -> None:
    workflow = ConfigWorkflow(
        config_file=[str(CONFIGS / f"{name}.json") for name in names],
        workflow_type=kind,
        logging_file=False,
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def strategy_result(name: str, part: list[dict[str, Any]], arguments: Any) -> dict[str, Any]:
    """Train and evaluate one strategy; return its evaluation and the CPU seconds of training."""
    folder = arguments.work / f"{name}_seed{arguments.seed}"
    settings = {
        "dataset_dir": str(arguments.work / "data"),
        "output_dir": str(arguments.work),
        "ckpt_dir": str(folder / "models"),
        "image_size": arguments.size,
        "epochs": arguments.epochs,
        "val_interval": arguments.epochs + 1,
        "snapshot_interval": arguments.epochs,
        "seed": arguments.seed,
        "train#dataset#data": part,
    }
    start = time.process_time()
    run(["train", f"strategy_{name}"], "train", **settings)
    seconds = time.process_time() - start
    run(
        ["train", f"strategy_{name}", "evaluate"],
        "train",
        **settings,
        run=["$@evaluation.run()"],
    )
    result = json.loads((folder / "evaluation.json").read_text())
    kept = ("strategy", "auc_mean", "auc_std", "interval", "baselines", "counts", "versions")
    return {key: result[key] for key in kept} | {"training_cpu_seconds": seconds}


def predict(arguments: Any) -> list[dict[str, str]]:
    """Predict the films and some validation images with the model of the last strategy."""
    entries = load_datalist(arguments.work / "data", "validation")
    listed = [{"image": str(arguments.dicom / film), "name": film} for film in FILMS]
    for label in (0, 1):
        mine = [entry for entry in entries if entry["label"] == label][:EXAMPLES]
        listed += [
            {"image": entry["image"], "name": f"validation image {index}, label {label}"}
            for index, entry in enumerate(mine, start=1)
        ]
    datalist = arguments.work / "predict.json"
    datalist.write_text(json.dumps({"test": listed}))
    folder = arguments.work / f"{STRATEGIES[-1]}_seed{arguments.seed}"
    run(
        ["inference"],
        "infer",
        dataset_dir=str(datalist),
        output_dir=str(folder / "predictions"),
        ckpt_dir=str(folder / "models"),
    )
    with (folder / "predictions" / "predictions.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def page(result: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    settings, first = result["settings"], result["strategies"][0]
    counts, versions = first["counts"], first["versions"]
    lines = [
        "# The chest X-ray bundle on real films (Kermany)",
        "",
        "<!-- figures: chest_xray_kermany -->",
        "`python benchmarks/chest_xray_kermany.py --source cxr_kermany_224 --dicom dicom"
        " --work DIR`",
        "",
        f"Normal against pneumonia at {settings['size']} px, {settings['epochs']} epochs on "
        f"{result['training_images']} training images ({result['labelled_images']} labelled), "
        f"seed {settings['seed']}; linear evaluation on {counts['test_images']} images of "
        f"{counts['test_patients']} other patients in three folds. DenseNet121, one thread of an "
        f"{versions['device']} CPU, torch {versions['torch']}, MONAI {versions['monai']}, "
        f"{result['date']}, code of {result['commit']}.",
        "",
        "| | AUC | std over folds | 95 % interval (patients) | training, CPU s |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, baseline in first["baselines"].items():
        lines.append(
            f"| baseline: {name} | {baseline['auc_mean']:.3f} | {baseline['auc_std']:.3f} | | |"
        )
    for row in result["strategies"]:
        low, high = row["interval"]["low"], row["interval"]["high"]
        lines.append(
            f"| {row['strategy']} | {row['auc_mean']:.3f} | {row['auc_std']:.3f} "
            f"| {low:.3f} to {high:.3f} | {row['training_cpu_seconds']:.0f} |"
        )
    lines += [
        "",
        "**Saturated: this proves nothing about transformations.** Pixels and an untrained",
        "encoder already separate the classes, so little is left for a strategy to show, and the",
        "order here is that of a few epochs on a fraction of the films. The comparison that can",
        "tell strategies apart is that of inserted lesions.",
        "",
        f"Predictions of {STRATEGIES[-1]} (`inference.json`); the films are adults of other",
        "hospitals, far from what the model was trained on, and only show that they are read:",
        "",
        "| image | probability of pathology |",
        "|---|---:|",
    ]
    for row in result["predictions"]:
        name = f"{row['file']}: {FILMS[row['file']]}" if row["file"] in FILMS else row["file"]
        lines.append(f"| {name} | {float(row['probability_pathology']):.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--dicom", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--size", type=int, default=48, help="pixels of a side")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--train-limit", type=int, default=600, help="training images at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write them as a page")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    prepare(arguments.source, arguments.work / "data", arguments.size)
    part = training_part(arguments.work / "data", arguments.train_limit, arguments.seed)
    result = {
        **provenance(),
        "settings": {key: getattr(arguments, key) for key in ("size", "epochs", "seed")},
        "training_images": len(part),
        "labelled_images": sum(entry["label"] >= 0 for entry in part),
        "date": time.strftime("%Y-%m-%d"),
        "strategies": [strategy_result(name, part, arguments) for name in STRATEGIES],
        "predictions": predict(arguments),
    }
    publish(result, page(result), arguments.out, arguments.markdown)


if __name__ == "__main__":
    main()
