"""Brain age on another scanner than the training's: prepared IXI brains, then raw heads.

Ridge and an RBF-SVR (`classical_ages`, tuned inside the training part) on the maps that
``python -m data_prep brain_t1`` made of both: by 5 folds of the IXI subjects, stratified by age,
and then fitted on all of them and asked for the ages of the heads. Tissue maps are read whole and
without CSF, the channel that grey and white matter determine.

    python benchmarks/brain_age_heads.py --training DIR [DIR ...] --heads DIR [DIR ...] --out OUT

gives one row for each pair of prepared folders and model, prints the table and writes
OUT/brain_age_heads.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from brain_age_ixi import by_age
from classical_ages import classical_ages
from paired_runs import markdown, paired_interval, provenance
from scipy.ndimage import gaussian_filter
from sklearn.model_selection import StratifiedKFold

from common.data import StackDataset, read_manifest

Array = np.ndarray
MODELS = ("ridge", "RBF-SVR")
FOLDS = 5
SMOOTHING_MM = 3.0  # standard deviation; chosen by the folds of the training set


class Brains(NamedTuple):
    """Prepared brains of known age."""

    x: Array  # (N, P)
    age: Array  # (N,) years
    patient: Array  # (N,)


def load(folder: Path, channels: int) -> Brains:
    """The first channels of all parts of a prepared folder, smoothed, where the age is known."""
    manifest = read_manifest(folder)
    spacing = manifest["preparation"]["spacing_mm"]
    rows, ages, patients = [], [], []
    for part in ("training", "validation", "test"):
        if not manifest[part]:
            continue
        data = StackDataset(folder, part, columns=("age", "patient"))
        for index, entry in enumerate(data.entries):
            if entry["age"] is None:
                continue
            image = data[index]["image"].numpy()
            smooth = [
                gaussian_filter(channel, SMOOTHING_MM / spacing) for channel in image[:channels]
            ]
            rows.append(np.stack(smooth).ravel())
            ages.append(entry["age"])
            patients.append(entry["patient"])
    order = np.argsort(patients, kind="stable")
    return Brains(np.stack(rows)[order], np.array(ages)[order], np.array(patients)[order])


def figures(age: Array, predicted: Array, patient: Array) -> dict[str, Any]:
    """Mean absolute error and bias in years, with 95 % intervals over patients."""
    gap = predicted - age

    def both(rows: Array) -> list[float]:
        return [float(np.abs(gap[rows]).mean()), float(gap[rows].mean())]

    intervals = paired_interval(patient, both)
    names = ("mae", "bias")
    values = both(np.arange(len(gap)))
    return {
        name: {"value": value, "interval": interval}
        for name, value, interval in zip(names, values, intervals)
    }


def compared(training: Brains, heads: Brains, model: str) -> dict[str, Any]:
    """By folds of the training set, and from all of it to the heads."""
    split = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    predicted = np.zeros(len(training.age))
    for fit, held in split.split(training.age, by_age(training.age)):
        predicted[held] = classical_ages(training.x[None], training.age, fit, model)[held]
    together = np.concatenate([training.x, heads.x])[None]
    unknown = np.full(len(heads.age), np.nan)
    everyone = np.arange(len(training.age))
    ages = np.concatenate([training.age, unknown])
    strange = classical_ages(together, ages, everyone, model)[len(everyone) :]
    return {
        "folds": figures(training.age, predicted, training.patient),
        "heads": figures(heads.age, strange, heads.patient),
        "ages_of_heads": strange.tolist(),
    }


def maps_of(folder: Path) -> dict[str, int]:
    """What is read of a prepared folder, and how many channels that takes."""
    chosen = read_manifest(folder)["preparation"]
    name = f"{chosen['map']}, {chosen['spacing_mm']:g} mm"
    return {f"{name}, without CSF": 2, name: 3} if chosen["map"] == "tissue" else {name: 1}


def report(rows: dict[str, dict[str, Any]]) -> str:
    def cell(figure: dict[str, Any], sign: str = "") -> str:
        low, high = figure["interval"]
        return f"{figure['value']:{sign}.1f} ({low:{sign}.1f} to {high:{sign}.1f})"

    lines = [
        [
            name,
            cell(row["folds"]["mae"]),
            cell(row["heads"]["mae"]),
            cell(row["heads"]["bias"], "+"),
        ]
        for name, row in rows.items()
    ]
    return markdown(["maps, model", "MAE on IXI, 5 folds", "MAE on heads", "bias on heads"], lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--training", type=Path, nargs="+", required=True)
    parser.add_argument("--heads", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    rows = {}
    for training, heads in zip(options.training, options.heads, strict=True):
        for maps, channels in maps_of(training).items():
            one, other = load(training, channels), load(heads, channels)
            for model in MODELS:
                rows[f"{maps}, {model}"] = compared(one, other, model)
            counts = {"training": len(one.age), "heads": len(other.age)}
    result = {**provenance(), "smoothing_mm": SMOOTHING_MM, "counts": counts, "rows": rows}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "brain_age_heads.json").write_text(json.dumps(result, indent=1) + "\n")
    print(report(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
