"""The weights that `chest_xray_learned_transforms` comes with: trained, and what they are worth.

``python benchmarks/chest_xray_weights.py --source cxr_kermany_224 --work DIR --out OUT``

`source` holds ``images.zip`` and ``labels.csv`` (file, split, label, subtype, patient) of Kermany's
paediatric X-rays. The official test films are the test part; validation is a share of the official
training patients, and the threshold is chosen on it. Numbers of patients recur in both official
parts and are taken for different children there (the data do not say). The linear head is fitted
on the training films, so no test film is seen before it is tested.

What `work` holds already (data, run) is kept: the figures of a finished run take a minute. Beside
the network: the same evaluation on pixels and on an untrained encoder.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from kermany import Row, extracted, films
from paired_runs import provenance

from common.metrics.decision import CALLS, call_scores
from common.metrics.patient_bootstrap import estimates
from data_prep.__main__ import main as data_prep

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "bundles" / "chest_xray_learned_transforms"
RUN = "self_supervised_supervised_seed0"
DIALS = {
    "epochs": 20, "image_size": 96, "label_fraction": 1.0, "batch_size": 32,
    "learning_rate": 0.0002, "policy_every": 4, "val_interval": 1, "snapshot_interval": 5,
}  # fmt: skip
CLASSES = ("normal", "pneumonia")


def prepare(source: Path, work: Path) -> None:
    """Extract, write the labels with the official parts, and run data_prep."""

    def columns(row: Row) -> Row:
        return {
            "image": row["file"],
            "label": CLASSES[int(row["label"])],
            "split": row["split"],
            "patient": f"{row['split']}_{row['patient']}",
        }

    with extracted(source, columns) as words:
        words = ["chest_xray", *words, "--target", str(work / "data"), "--negative", CLASSES[0]]
        if data_prep([*words, "--key", str(work / "key.csv")]):
            raise SystemExit("chest_xray_weights: data_prep chest_xray failed, see above.")


def bundle(config: str, work: Path, **dials: Any) -> None:
    """Run a config of the bundle as its page says."""
    words = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config]
    folders = {"dataset_dir": "data", "output_dir": "run", "ckpt_dir": "run/models"}
    options = {name: str((work / folder).resolve()) for name, folder in folders.items()}
    for name, value in {**options, **dials}.items():
        words += [f"--{name}", str(value)]
    subprocess.run(words, cwd=BUNDLE, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def subtypes(source: Path, work: Path) -> list[str]:
    """Normal, bacteria or virus, of each test film in the manifest's order."""
    of_file = {row["file"]: row["subtype"] for row in films(source)}
    with (work / "key.csv").open(newline="") as file:
        original = {row["prepared"]: row["source"] for row in csv.DictReader(file)}
    manifest = json.loads((work / "data" / "manifest.json").read_text())
    return [of_file[original[entry["image"]]] for entry in manifest["test"]]


def figures(source: Path, work: Path) -> dict[str, Any]:
    """The figures of all test films, and of each kind of pneumonia beside the normal films."""
    folder = work / "run" / RUN
    evaluation = json.loads((folder / "evaluation.json").read_text())
    made = evaluation["decisions"][0]
    with np.load(folder / "cases.npz") as cases:
        label, said, patient = (cases[name] for name in ("label", "said", "patient"))
    kind = np.array(subtypes(source, work))
    by_kind = {}
    for name in ("bacteria", "virus"):
        rows = np.flatnonzero((kind == name) | (kind == "normal"))
        truth, probability, whose = label[rows].astype(int), said[rows], patient[rows]

        def scores(drawn: Any, truth: Any = truth, probability: Any = probability) -> Any:
            return call_scores(truth[drawn], probability[drawn], made["threshold"])

        kept = estimates(CALLS, scores, whose, draws=1000)
        by_kind[name] = {"films": int((kind == name).sum())} | {
            figure: kept[figure] for figure in ("auc", "sensitivity")
        }
    return {
        "threshold": made["threshold"],
        "chosen_on": made["chosen_on"],
        "scored_on": made["scored_on"],
        "figures": made["figures"],
        "kinds": by_kind,
        "patients": made["patients"],
        "reliability": made["reliability"],
        "baselines": evaluation["baselines"],
        "versions": evaluation["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for data and run")
    parser.add_argument("--out", type=Path, required=True, help="write the figures as JSON")
    arguments = parser.parse_args()
    work = arguments.work
    if not (work / "data" / "manifest.json").is_file():
        prepare(arguments.source, work)
    if not (work / "run" / RUN).is_dir():
        bundle("configs/train.json", work, **DIALS)
    if not (work / "run" / RUN / "evaluation.json").is_file():
        both = "['configs/train.json','configs/evaluate.json']"
        bundle(both, work, head_fitted_on="training")
    result = {
        **provenance(),
        "date": time.strftime("%Y-%m-%d"),
        "dials": DIALS,
        **figures(arguments.source, work),
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("figures", "kinds", "baselines")}, indent=1))


if __name__ == "__main__":
    main()
