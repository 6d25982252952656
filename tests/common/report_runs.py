"""Realistic run folders for the report, from fixed generators."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from common.transforms import Composition

NAMES = list(Composition().names)
SIDE = 48
#            strategy                      AUC   lesions kept
OUTCOMES = {
    "supervised_100": (0.93, 0.52),
    "supervised_10": (0.78, 0.52),
    "base_simclr": (0.73, 0.55),
    "random": (0.83, 0.07),
    "random_supervised": (0.86, 0.07),
    "self_supervised": (0.81, 0.02),
    "self_supervised_supervised": (0.91, 0.71),
}


def draw_lam(strategy: str, count: int, rng: np.random.Generator) -> np.ndarray:
    """Learned: nearly constant, crop following the image a little; random: uniform, or p = 0.5."""
    if strategy.startswith("self_supervised"):
        lam = np.array([0.12, 0.05, 0.4, 0.6, 0.1, 0.8, 0.25]) + rng.normal(0, 0.008, (count, 7))
        if strategy == "self_supervised_supervised":
            lam[:, 2:4] = rng.normal(0.5, 0.09, (count, 2))
        return np.clip(lam, 0, 1)
    lam = rng.random((count, 7))
    if strategy.startswith(("base", "supervised")):
        lam[(rng.random((count, 6)) < 0.5)[:, [0, 1, 2, 2, 3, 4, 5]]] = np.nan
    return lam


def write_gallery(folder: Path, lam: np.ndarray, rng: np.random.Generator) -> None:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    brain = np.clip(1.4 - 3 * np.hypot(1.1 * x, y), 0, 0.6) * (np.hypot(1.1 * x, y) < 0.42)
    images, masks = [], []
    for index in range(4):
        mask = np.hypot(x - 0.06 * index + 0.1, y + 0.05 * index) < 0.06
        images.append(np.clip(brain + 0.25 * mask, 0, 1))
        masks.append(mask.astype(np.float32))
    image, mask = np.stack(images), np.stack(masks)
    keep = np.zeros((4, SIDE, SIDE))
    for index, row in enumerate(np.nan_to_num(lam[:4], nan=0.5)):
        keep[index] = (np.abs(y + 0.5 - row[2]) < 0.2) & (np.abs(x + 0.5 - row[3]) < 0.2)
    arrays = {
        "image": image,
        "transformed": np.rot90(image * keep, axes=(1, 2)) + 0.02 * rng.random(image.shape),
        "mask": mask,
        "transformed_mask": np.rot90(mask * keep, axes=(1, 2)),
        "lam": lam[:4],
        "name": np.array([f"IXI{index:03d}-Guys-slice{90 + index}" for index in range(4)]),
    }
    np.savez(folder / "gallery.npz", **arrays)


def evaluation(strategy: str, seed: int, lam: np.ndarray, rng: np.random.Generator) -> Any:
    auc, kept = OUTCOMES.get(strategy, (0.8, 0.4))
    auc = round(float(auc + 0.012 * (seed - 1) + rng.normal(0, 0.002)), 4)
    course = [(n, round(0.55 + (auc - 0.55) * (1 - math.exp(-n / 20)), 4)) for n in (1, 10, 25, 50)]
    columns = [column[~np.isnan(column)] for column in lam.T]
    edges = np.linspace(0, 1, 21)
    return {
        "bundle": "brain_mri_learned_transforms",
        "strategy": strategy,
        "seed": seed,
        "settings": {"seed": seed, "strategy": strategy, "batch_size": 32, "channels": [16, 32]},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "monai": "1.6.1"},
        "counts": {"test_images": 3000, "test_patients": 62, "test_positive": 1500},
        "epochs": [
            {"epoch": n, "auc_mean": a, "auc_std": 0.02, "auc_folds": [a, a, a]}
            for n, a in [*course, (100, auc)]
        ],
        "auc_mean": auc,
        "interval": {"level": 0.95, "low": auc - 0.03, "high": auc + 0.02, "method": "bootstrap"},
        "baselines": {
            "pixels": {"auc_mean": 0.687, "auc_std": 0.02},
            "untrained": {"auc_mean": 0.662, "auc_std": 0.02},
        },
        "transform": {
            "names": NAMES,
            "units": Composition().units,
            "lam_mean": [float(c.mean()) for c in columns],
            "lam_std_over_images": [float(c.std()) for c in columns],
            "histogram": {
                "edges": edges.tolist(),
                "counts": [np.histogram(c, edges)[0].tolist() for c in columns],
            },
            "lesion_kept": min(1.0, kept + 0.02 * (seed - 1)),
            "n_lesion_images": 1500,
        },
    }


def write_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A realistic run folder from a fixed generator; `changes` replace keys of evaluation.json."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    folder.mkdir(parents=True)
    lam = draw_lam(strategy, 500, rng)
    values = evaluation(strategy, seed, lam, rng) | changes
    (folder / "evaluation.json").write_text(json.dumps(values))
    epoch = np.arange(1, 101)
    names = ["encoder/loss", "encoder/contrastive", "encoder/transformed_bce"]
    if strategy.startswith("self"):
        names += ["policy/loss", "policy/contrastive"]
    terms = {
        name: (2 + np.exp(-epoch / 30) * (1 + k) + rng.normal(0, 0.03, 100)).round(4).tolist()
        for k, name in enumerate(names)
    }
    terms["loss"] = terms["encoder/loss"]
    (folder / "history.json").write_text(json.dumps({"epoch": epoch.tolist(), "terms": terms}))
    write_gallery(folder, lam, rng)
    return folder


def write_study(folder: Path, seeds: int = 3) -> list[Path]:
    """Seven strategies, some seeds each."""
    return [
        write_run(folder / f"{strategy}_seed{seed}", strategy, seed)
        for strategy in OUTCOMES
        for seed in range(seeds)
    ]
