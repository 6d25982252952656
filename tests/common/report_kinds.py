"""Realistic run folders of brain age, of biased classes and of a diagnosis, for the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np

#           strategy                    external error, noise added by the site's trace
AGES = {"l1": (4.6, 3.0), "y_aware": (4.1, 1.6), "exponential": (3.8, 1.0), "threshold": (4.0, 1.4)}
CLASSES = {"ce": (0.40, 0.9), "sup_info_nce": (0.45, 0.8), "sup_info_nce_fairkl": (0.88, 0.05)}
CASES = {"scratch": (0.76, 0.67), "y_aware": (0.79, 0.77)}
GROUPS = (
    "positive_aligned",
    "positive_conflicting",
    "negative_aligned",
    "negative_conflicting",
)


def _about(strategy: str, seed: int) -> dict[str, Any]:
    return {
        "bundle": "a_bundle",
        "strategy": strategy,
        "seed": seed,
        "settings": {"epochs": 300, "temperature": 0.1},
        "versions": {"python": "3.11.9", "torch": "2.13.0"},
    }


def _write(folder: Path, values: dict[str, Any], **arrays: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps(values))
    epoch = np.arange(1, 51)
    terms = {"encoder/loss": (2 + np.exp(-epoch / 9)).round(4).tolist()}
    (folder / "history.json").write_text(json.dumps({"epoch": epoch.tolist(), "terms": terms}))
    if arrays:
        np.savez(folder / "scores.npz", **arrays)
    return folder


def write_age_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A run of the challenge: eight training sites, two external ones."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    error, trace = AGES.get(strategy, (4.2, 1.5))
    site = rng.integers(0, 10, 700)
    age = np.clip(rng.gamma(3, 9, 700) + 8 + 2 * site, 6, 86)
    predicted = age + rng.normal(0, 1.2 * error, 700) + trace * np.sin(site)
    internal = site < 8
    absolute = np.abs(predicted - age)
    figures = {
        "mae_internal": float(absolute[internal].mean()),
        "mae_external": float(absolute[~internal].mean()),
        "bacc_internal": 0.18 + 0.15 * trace,
    }
    figures["lc"] = figures["mae_external"] * figures["bacc_internal"] ** 0.3
    poor = {"mae_internal": 6.4, "mae_external": 7.9, "bacc_internal": 0.83, "lc": 7.47}
    values = {
        **_about(strategy, seed),
        "kind": "challenge",
        "label": "public-validation Lc",
        "counts": {"training_subjects": 3227, "internal_subjects": 560, "external_subjects": 140},
        **figures,
        "interval": {
            "level": 0.95,
            "method": "bootstrap of the test subjects, the fitted heads kept",
            **{name: [0.93 * value, 1.07 * value] for name, value in figures.items()},
        },
        "bacc_chance": 1 / 8,
        "bacc_age_floor": 0.21,
        "site_names": [f"Centre {letter}" for letter in "ABCDEFGH"],
        "epochs": [
            {"epoch": 10 * n, **{key: value * (1 + 0.5 / n) for key, value in figures.items()}}
            for n in (1, 2, 5)
        ]
        + [{"epoch": 100, **figures}],
        "baselines": {"pixels": poor, "untrained": poor | {"mae_external": 9.1, "lc": 8.6}},
    }
    arrays = {"age": age, "predicted_age": predicted, "site": site, "internal": internal}
    return _write(folder, values | changes, **arrays)


def write_classes_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A run of biased classes: conflicting pairs lie apart as far as the bias was learned."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    share, apart = CLASSES.get(strategy, (0.6, 0.5))
    share += rng.normal(0, 0.01)
    figures = {
        "accuracy": share,
        "accuracy_aligned": 0.97,
        "accuracy_conflicting": share - 0.1 * (0.97 - share),
    }
    edges = np.linspace(0, 2, 41)

    def histograms(before: bool) -> dict[str, Any]:
        centre = {"positive": 0.8 if before else 0.4, "negative": 1.0 if before else 1.35}
        shift = 0.35 if before else 0.6 * apart
        found = {}
        for name in GROUPS:
            pairs, side = name.split("_")
            mean = centre[pairs] + (shift if side == "conflicting" else 0)
            drawn = np.clip(rng.normal(mean, 0.17, 2000), 0, 2)
            counts = np.histogram(drawn, edges)[0].tolist()
            found[name] = {"pairs": 2000, "mean": float(drawn.mean()), "std": 0.2, "counts": counts}
        return found

    values = {
        **_about(strategy, seed),
        "kind": "accuracy",
        "readout": "head",
        "part": "test",
        "counts": {"training_images": 60000, "test_images": 10000, "classes": 10},
        **figures,
        "interval": {
            "level": 0.95,
            "method": "bootstrap",
            "accuracy": [share - 0.01, share + 0.01],
        },
        "probe": {name: value - 0.04 for name, value in figures.items()},
        "epochs": [
            {"epoch": n, "accuracy": 0.1 + (share - 0.1) * (1 - 0.5**n)} for n in (1, 2, 4, 8)
        ],
        "baselines": {"pixels": {"accuracy": 0.36}, "untrained": {"accuracy": 0.21}},
        "distances": {
            "edges": edges.tolist(),
            "before": histograms(True),
            "after": histograms(False),
        },
    }
    return _write(folder, values | changes)


def write_cases_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A run on a diagnosis, with a leave-site-out table of five sites."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    figures = dict(zip(("auc_internal", "auc_external"), CASES.get(strategy, (0.7, 0.6))))
    figures = {name: value + rng.normal(0, 0.01) for name, value in figures.items()}
    sites = [
        {"site": n, "subjects": 40 + 9 * n, "cases": 20 + 4 * n, "auc": rng.uniform(0.6, 0.85)}
        for n in range(5)
    ]
    values = {
        **_about(strategy, seed),
        "kind": "case_control",
        "readout": "probe",
        "counts": {"training_subjects": 933, "internal_subjects": 118, "external_subjects": 133},
        **figures,
        "interval": {
            "level": 0.95,
            "method": "bootstrap",
            **{name: [value - 0.06, value + 0.05] for name, value in figures.items()},
        },
        "probe": figures,
        "leave_site_out": {"auc_mean": 0.7, "auc_std": 0.1, "sites": sites},
        "site_names": [],
        "epochs": [{"epoch": 50, **figures}],
        "baselines": {
            "pixels": {"auc_internal": 0.66, "auc_external": 0.62},
            "untrained": {"auc_internal": 0.61, "auc_external": 0.58},
        },
    }
    return _write(folder, values | changes)
