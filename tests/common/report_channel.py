"""Realistic run folders of a channel that chooses crops, for the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.common.report_kinds import write_classes_run

#             projection, f: mean, top, oracle       potential, touching, entropy
STRATEGIES = {
    "ours": ((0.95, 0.95, None), (0.97, 0.97, None), 0.08, 0.998, 2.9),
    "simclr": ((0.32, None, 0.51), (0.46, None, 0.94), 0.98, 0.16, np.log(289)),
}
SIDE, CROPS, PICTURES = 84, 17, 4


def _maps(cell: np.ndarray, entropy: float) -> np.ndarray:
    """P over the crops: around the middle of the digit's cell, or the same everywhere."""
    if entropy > 5:
        return np.full((PICTURES, CROPS, CROPS), 1 / CROPS**2)
    place = np.arange(CROPS)
    maps = []
    for down, right in np.stack([cell // 3, cell % 3], axis=1) * 7 + 1:
        rows, columns = np.meshgrid(place - down, place - right, indexing="ij")
        weight = np.exp(-(rows**2 + columns**2) / 3)
        maps.append(weight / weight.sum())
    return np.stack(maps)


def write_channel_run(folder: Path, strategy: str, seed: int = 0, **changes: Any) -> Path:
    """A run on a grid of digits, with its arrays; `changes` are of the block "channel"."""
    rng = np.random.default_rng([seed, *strategy.encode()])
    projection, features, potential, touching, entropy = STRATEGIES[strategy.split("_")[0]]
    rows = [
        {
            "readout": readout,
            "average": average,
            "accuracy": value + 0.001 * seed,
            "strength": 1000.0,
            "accuracy_at_1": value - 0.1,
        }
        for readout, values in (("projection", projection), ("features", features))
        for average, value in zip(("mean", "top", "oracle"), values)
        if value is not None
    ]
    channel = {
        "deployed": "features mean",
        "representations": rows,
        "gaussian_potential": potential,
        "touching": {"mean": touching, "std": 0.01},
        "entropy": {"mean": float(entropy), "std": 0.2 * (entropy < 5)},
        "grid": {"image_size": SIDE, "crop_size": 20, "stride": 4, "crops": CROPS**2},
        "top": 8,
        "point_variance": [0.3, 0.2],
    }
    shares = {"accuracy": features[0] + 0.001 * seed, "distances": None, "readout": "probe"}
    write_classes_run(
        folder, strategy, seed, **shares, probe={"accuracy": shares["accuracy"]},
        epochs=[{"epoch": 20, "accuracy": shares["accuracy"]}],
        baselines={"pixels": {"accuracy": 0.899}}, channel=channel | changes,
    )  # fmt: skip
    cell, image = rng.integers(0, 9, PICTURES), np.zeros((PICTURES, SIDE, SIDE), np.uint8)
    for picture, (down, right) in zip(image, np.stack([cell // 3, cell % 3], axis=1) * 28):
        picture[down + 8 : down + 20, right + 12 : right + 16] = 255
    label, near = rng.integers(0, 10, 200), 1.0 if strategy.startswith("simclr") else 0.2
    arrays = {
        "image": image,
        "image_label": np.arange(PICTURES),
        "probability": _maps(cell, float(entropy)),
        "similarity": np.sort(np.clip(rng.normal(near, 0.1, 1000), 0, 1)),
        "point": rng.normal(0, 1.2 - near, (200, 2)) + np.eye(10, 2)[label] * (1 - near),
        "point_label": label,
    }
    np.savez(folder / "channel.npz", **arrays)
    return folder


def values(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "evaluation.json").read_text()))
