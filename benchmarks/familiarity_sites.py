"""Ages of sites never seen, after a few reference scans of each: a part of `familiarity.py`."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from paired_runs import markdown
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common.checks import InputError
from common.deploy.calibration import AgeCalibration

REFERENCE, DRAWS = 10, 200


def calibrate(path: Path) -> list[dict[str, Any]]:
    """Ages of each site by a ridge that never saw it, raw and after ten reference scans of it."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if "thickness" in name]
    x = np.array([[float(row[name]) for name in names] for row in rows])
    age = np.array([float(row["age"]) for row in rows])
    site, person = (np.array([row[name] for row in rows]) for name in ("site", "sub_id"))
    by_site = []
    for name in np.unique(site):
        here = site == name
        others = ~here & ~np.isin(person, person[here])
        ridge = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 5, 11)))
        predicted = ridge.fit(x[others], age[others]).predict(x[here])
        by_site.append({"site": str(name), "scans": int(here.sum()), **drawn(predicted, age[here])})
    return by_site


def drawn(predicted: np.ndarray, age: np.ndarray) -> dict[str, Any]:
    """Errors of the scans that are no reference, over random references."""
    generator = np.random.default_rng(0)
    figures, refused = [], 0
    for _ in range(DRAWS):
        order = generator.permutation(len(age))
        known, rest = order[:REFERENCE], order[REFERENCE:]
        try:
            calibration = AgeCalibration.fit(predicted[known], age[known])
        except InputError:  # the predictions fall with the ages
            refused += 1
            continue
        gap, better = predicted[rest] - age[rest], calibration.age(predicted[rest]) - age[rest]
        leans = calibration.gap(predicted[rest], age[rest])
        low, high = calibration.offset_interval
        figures.append(
            {
                "mae": np.abs(gap).mean(),
                "bias": gap.mean(),
                "mae_calibrated": np.abs(better).mean(),
                "bias_calibrated": np.abs(better.mean()),
                "covered": low <= gap.mean() <= high,
                "within": (np.abs(better) <= calibration.reach).mean(),
                "gap_slope": np.polyfit(age[rest], gap, 1)[0],
                "gap_slope_calibrated": np.polyfit(age[rest], leans, 1)[0],
                "mae_by_slope": np.abs(divided(calibration, predicted[rest]) - age[rest]).mean(),
            }
        )
    means = {key: float(np.mean([row[key] for row in figures])) for key in figures[0]}
    return means | {"refused": refused}


def divided(calibration: AgeCalibration, predicted: np.ndarray) -> np.ndarray:
    """What is not done: the ages of which the predictions are expected, by the line."""
    slope = calibration.slope if calibration.leans and calibration.slope > 0 else 1.0
    return calibration.centre + (calibration.age(predicted) - calibration.centre) / slope


def sites(rows: Sequence[dict[str, Any]]) -> str:
    keys = ("bias", "mae", "mae_calibrated", "mae_by_slope", "bias_calibrated", "covered", "within")
    head = ["site", "scans", "bias", "MAE", "MAE calibrated", "MAE, divided by the slope"]
    head += ["bias left", "covered"]
    body = [
        [row["site"], str(row["scans"]), *(f"{row[key]:.2f}" for key in keys), str(row["refused"])]
        for row in rows
    ]
    return markdown([*head, "within", "refused"], body)
