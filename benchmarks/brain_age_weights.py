"""The brain-age weights that come with the bundle: trained, judged by folds, tried on raw heads.

Everything is trained by the bundle's own command (``train.json`` with the overlays
`OVERLAYS`) on grey and white tissue maps of one site, which ``python -m data_prep brain_t1 --map
grey_white --spacing 3`` made: once for each of 5 folds, stratified by age (those of
``brain_age_heads.py``), with the same dials, and once for all brains but a tenth that watches and
a tenth that is tested. A tenth of each fold's training part only watches. Age is read by the ridge
that the bundle's evaluation deploys (`common.metrics.openbhb.fit_age`). The last run is evaluated
by ``evaluate.json``, the prepared heads of another site being its external subjects, and the model
that deploys predicts on the raw heads by ``python -m common predict``. Ridge and SVR on the same
maps and folds are rows of ``brain_age_heads.py``.

    python benchmarks/brain_age_weights.py --ixi PREPARED --heads PREPARED --raw HEADS --out OUT

Runs that ended are kept in OUT and interrupted ones go on. Prints the table and writes
OUT/brain_age_weights.json; the model is OUT/all/models.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from brain_age_heads import FOLDS, Brains, figures, load
from brain_age_ixi import by_age
from paired_runs import markdown, provenance
from sklearn.model_selection import StratifiedKFold

from common.data import StackDataset, read_manifest, write_manifest
from common.deploy import load as load_model
from common.metrics.openbhb import fit_age

Array = np.ndarray
Entry = dict[str, Any]
BUNDLE = "brain_mri_age_contrastive"
FOLDER = Path(__file__).resolve().parents[1] / "bundles" / BUNDLE
OVERLAYS = ("loss_y_aware", "encoder_template", "augmentation_shift_flip")
DIALS: dict[str, Any] = {
    **{"seed": 0, "sigma": 5.0, "epochs": 60, "learning_rate": 0.001, "weight_decay": 0.0001}
}
TENTH = 10
BANDS = (20, 40, 60, 90)


def entries_of(folder: Path) -> list[Entry]:
    """Entries of known age of all parts, by patient."""
    manifest = read_manifest(folder)
    every = [entry for part in ("training", "validation", "test") for entry in manifest[part]]
    return sorted((e for e in every if e["age"] is not None), key=lambda e: e["patient"])


def parts_of(entries: Sequence[Entry], rest: Array, test: Array) -> dict[str, list[Entry]]:
    """A tenth of `rest`, evenly over age, watches; the others train."""
    by = rest[np.argsort([entries[k]["age"] for k in rest], kind="stable")]
    watching = set(by[TENTH // 2 :: TENTH].tolist())
    chosen = {
        "training": [k for k in rest if k not in watching],
        "validation": sorted(watching),
        "test": test,
    }
    return {part: [entries[k] for k in rows] for part, rows in chosen.items()}


def write(folder: Path, source: Path, parts: dict[str, list[Entry]], heads: Path | None) -> None:
    """A prepared folder with these parts, and with the heads of another site to be tested on."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source / "images", folder / "images", copy_function=_linked)
    manifest = read_manifest(source)
    place = {"training": "train", "validation": "train", "test": "internal"}
    for part, rows in parts.items():
        manifest[part] = [{**row, "site": 0, "split": place[part]} for row in rows]
    sums = dict(manifest["sha256"])
    if heads is not None:
        shutil.copytree(heads / "images", folder / "images/other", copy_function=_linked)
        sums |= {_moved(n): v for n, v in read_manifest(heads)["sha256"].items() if "images" in n}
        manifest["test"] += [
            {
                **row,
                "image": _moved(row["image"]),
                "patient": f"other_{row['patient']}",
                "site": 1,
                "split": "external",
            }
            for row in entries_of(heads)
        ]
    used = {row["image"] for part in parts for row in manifest[part]}
    manifest["sha256"] = {name: value for name, value in sums.items() if name in used}
    manifest["classes"]["site"] = ["training site", "other site"][: 1 + (heads is not None)]
    write_manifest(folder, manifest)


def _linked(source: str, target: str) -> None:
    os.link(os.path.realpath(source), target)


def _moved(name: str) -> str:
    return name.replace("images/", "images/other/")


def run(configs: Sequence[str], data: Path, out: Path, *more: str) -> None:
    """The bundle's own command."""
    files = ",".join(f"'configs/{name}.json'" for name in configs)
    places = {"dataset_dir": data, "output_dir": out / "eval", "ckpt_dir": out / "models"}
    words = [
        str(w)
        for n, v in {**places, **DIALS}.items()
        for w in (f"--{n}", Path(v).resolve() if n in places else v)
    ]
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", f"[{files}]"]
    subprocess.run([*command, *words, *more], cwd=FOLDER, check=True)


def trained(data: Path, out: Path) -> Path:
    """Train, or go on, or nothing where it ended; return the folder of the run."""
    found = sorted((out / "eval").glob("*_seed*/"))
    if not found or not (found[0] / "model.pt").is_file():
        resume = bool(found) and (found[0] / "checkpoint.pt").is_file()
        run(["train", *OVERLAYS], data, out, "--val_interval", "10", "--resume", str(resume))
    return next((out / "eval").glob("*_seed*/"))


def ages(run_dir: Path, data: Path, patients: Array) -> Array:
    """Age of every patient, by a ridge fitted on the training part of the prepared folder."""
    network = load_model(BUNDLE, run_dir, "cpu").network
    h, age = {}, {}
    for part in ("training", "validation", "test"):
        dataset = StackDataset(data, part, columns=("age", "patient"))
        for index, entry in enumerate(dataset.entries):
            with torch.no_grad():
                found = network.encode(dataset[index]["image"][None])[0]
            h[entry["patient"]] = found.numpy()
            if part == "training":
                age[entry["patient"]] = entry["age"]
    ridge = fit_age(np.stack([h[name] for name in age]), np.array(list(age.values())))
    return ridge.predict(np.stack([h[name] for name in patients]))


def by_folds(source: Path, brains: Brains, out: Path) -> Array:
    """Age of every brain by the network of the fold that tests it."""
    entries, predicted = entries_of(source), np.zeros(len(brains.age))
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    for number, (fit, held) in enumerate(split.split(brains.age, by_age(brains.age))):
        data = out / f"fold{number}" / "data"
        if not data.is_dir():
            write(data, source, parts_of(entries, fit, held), None)
        run_dir = trained(data, data.parent)
        predicted[held] = ages(run_dir, data, brains.patient[held])
        print(f"fold {number}: MAE {np.abs(predicted - brains.age)[held].mean():.2f}", flush=True)
    return predicted


def deployed(source: Path, heads: Path, brains: Brains, out: Path) -> dict[str, Any]:
    """The run that is released: trained, evaluated and deployed; what its evaluation says."""
    data = out / "all" / "data"
    if not data.is_dir():
        everyone = np.argsort(brains.age, kind="stable")
        held = everyone[TENTH // 4 :: TENTH]
        rest = np.setdiff1d(everyone, held)
        write(data, source, parts_of(entries_of(source), rest, held), heads)
    run_dir = trained(data, out / "all")
    if not (out / "all/models/model.pt").is_file():
        run(["train", *OVERLAYS, "evaluate"], data, out / "all")
    told = json.loads((run_dir / "evaluation.json").read_text())
    return {name: told[name] for name in ("mae_internal", "mae_external", "counts", "interval")}


def raw(heads: Path, out: Path) -> dict[str, Any]:
    """Raw heads to ages by the predict command; their participants.tsv knows the true ages."""
    words = ["predict", BUNDLE, str(heads), "--weights", str(out / "all/models")]
    target = out / "heads"
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "common", *words, "--output", str(target)], check=False)
    with (heads / "participants.tsv").open(newline="") as file:
        true = {r["participant_id"]: float(r["age"]) for r in csv.DictReader(file, delimiter="\t")}
    with (target / "predictions.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["file"].split("_")[0] in true]
    age = np.array([true[row["file"].split("_")[0]] for row in rows])
    predicted = np.array([float(row["predicted_age"]) for row in rows])
    told = [
        {
            "age": float(true),
            "predicted_age": float(found),
            "familiarity": float(row["familiarity"]),
            "warning": row["warning"],
        }
        for true, found, row in zip(age, predicted, rows)
    ]
    guess = float(np.abs(age - age.mean()).mean())
    return {
        **figures(age, predicted, np.arange(len(age))),
        "mae_of_their_mean_age": guess,
        "heads": told,
    }


def groups(entries: Sequence[Entry], brains: Brains, predicted: Array) -> dict[str, Any]:
    """Figures by sex and by age band, of the predictions by folds."""
    sex, names = np.array([e["sex"] for e in entries]), {0: "female", 1: "male"}
    members = {names[k]: sex == k for k in names}
    for low, high in pairwise(BANDS):
        members[f"{low} to {high} years"] = (brains.age >= low) & (brains.age < high)
    return {
        name: {
            "subjects": int(rows.sum()),
            **figures(brains.age[rows], predicted[rows], brains.patient[rows]),
        }
        for name, rows in members.items()
    }


def report(result: dict[str, Any]) -> str:
    def cell(figure: dict[str, Any], sign: str = "") -> str:
        low, high = figure["interval"]
        return f"{figure['value']:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"

    rows = {
        "the network": {"folds": result["folds"], "heads": result["raw_heads"]},
        **{name: {"folds": row} for name, row in result["groups"].items()},
    }
    lines = []
    for name, row in rows.items():
        heads = row.get("heads")
        far = [cell(heads["mae"]), cell(heads["bias"], "+")] if heads else ["", ""]
        lines.append([name, cell(row["folds"]["mae"]), cell(row["folds"]["bias"], "+"), *far])
    header = ["", "MAE on IXI, 5 folds", "bias on IXI", "MAE on heads", "bias on heads"]
    return markdown(header, lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("--ixi", "--heads", "--raw", "--out"):
        parser.add_argument(name, type=Path, required=True)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    brains = load(options.ixi, 2)
    predicted = by_folds(options.ixi, brains, options.out)
    result = {
        **provenance(),
        "overlays": OVERLAYS,
        "dials": DIALS,
        "folds": figures(brains.age, predicted, brains.patient),
        "groups": groups(entries_of(options.ixi), brains, predicted),
        "released": deployed(options.ixi, options.heads, brains, options.out),
        "raw_heads": raw(options.raw, options.out),
    }
    path = options.out / "brain_age_weights.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
