"""Realistic run folders with a probe trained by SGD on two data sets, for the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np

AUROC = {"strong": (0.74, 0.117), "weak": (0.79, 0.201), "weak_med": (0.73, 0.130)}
SETS = ("aptos", "idrid")
FIGURES = ("auroc", "aupr", "sensitivity", "specificity", "accuracy", "exact")


def _row(training: str, test: str, auroc: float, seeds: np.ndarray) -> dict[str, Any]:
    values = dict(zip(FIGURES, (auroc, 0.46, 0.25, 0.9, 0.8, 0.55)))
    return {
        "training": training,
        "test": test,
        **values,
        "interval": {name: [value - 0.04, value + 0.03] for name, value in values.items()},
        "seeds": [{**values, "auroc": float(seed), "epoch": 7} for seed in seeds],
    }


def write_probe_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A run with five seeds of the probe, two data sets, and groups of views."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    auroc, silhouette = AUROC[strategy]
    seeds = auroc + rng.normal(0, 0.008, 5)
    edges = np.linspace(0, 25, 51)
    drawn = {"positive": rng.normal(7, 2, 2000), "negative": rng.normal(13, 3, 2000)}
    values = {
        "bundle": "a_bundle",
        "strategy": strategy,
        "seed": seed,
        "settings": {"epochs": 300},
        "versions": {"torch": "2.13.0"},
        "kind": "macro_auroc",
        "readout": "probe",
        "classes": ["no", "mild", "moderate"],
        "left_out": "no",
        "counts": {"training_images": 329, "test_images": 103, "classes": 3},
        "auroc": float(seeds.mean()),
        "interval": {"level": 0.95, "method": "bootstrap",
                     "auroc": [float(seeds.mean()) - 0.04, float(seeds.mean()) + 0.03]},
        "matrix": [
            _row(a, b, float(seeds.mean()) - 0.1 * (a != b), seeds - 0.1 * (a != b))
            for a in SETS for b in SETS
        ],
        "epochs": [{"epoch": 300, "auroc": float(seeds.mean())}],
        "logistic": {"auroc": auroc + 0.02, "aupr": 0.5},
        "baselines": {"pixels": {"auroc": 0.61}, "untrained": {"auroc": 0.63}},
        "groups": {
            "images": 12, "views": 5, "silhouette": silhouette, "edges": edges.tolist(),
            **{name: {"mean": float(d.mean()), "counts": np.histogram(d, edges)[0].tolist()}
               for name, d in drawn.items()},
        },
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(values | changes))
    place = rng.normal(0, 30, (12, 1, 2)) + rng.normal(0, 3, (12, 5, 2))
    np.savez(folder / "groups.npz", place=place.astype(np.float32))
    return folder
