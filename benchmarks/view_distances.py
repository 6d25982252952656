"""Fig. 1 of the fundus paper: are views of medical images harder to tell apart than of photographs?

"Positive pairs" are two views of an image, "negative pairs" a view of each of two images; the
distance is Eq. 1 and 2's, between the pixels themselves (here as root mean square). Drawn are the
paper's local crops, strong and weak (Table 2), with mirror and colours, of photographs (CIFAR-10),
fundus photographs, chest films and brain slices, all at 48 pixels, no encoder in between.

    OMP_NUM_THREADS=1 python benchmarks/view_distances.py --data DIR --out OUT [--seeds 0 1 2]

`DIR` holds the folders of `small_images`. Prints the table, writes OUT/view_distances.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from paired_runs import markdown, mean_and_spread, provenance
from sklearn.metrics import roc_auc_score
from small_images import SETS
from torch import Tensor

from common.policies import EachWithProbability
from common.transforms import Composition

SIDE, IMAGES = 48, 300
TITLES = {
    "cifar10": "photographs (CIFAR-10)",
    "fundus": "fundus photographs",
    "kermany": "chest films",
    "lesions": "brain slices",
}
STRENGTHS: dict[str, dict[str, Any]] = {  # paper, Table 2: local crops, brightness and contrast
    "strong": {"scale": [0.05, 0.4], "change": 0.4},
    "weak": {"scale": [0.2, 0.5], "change": 0.2},
}


def views(x: Tensor, strength: str) -> Tensor:
    """One view of each image, in [0, 1], flat."""
    how = STRENGTHS[strength]
    jitter = {"brightness": how["change"], "contrast": how["change"], "saturation": 0.2, "hue": 0.1}
    moved = Composition(
        ["resized_crop", "mirror", "color_jitter"],
        settings={
            "resized_crop": {"scale": how["scale"]},
            "mirror": {"axes": [1]},
            "color_jitter": jitter,
        },
    )
    policy = EachWithProbability([1.0, 0.5, 0.8], moved.sizes)
    return moved(x, policy(x)).flatten(1)


def distances(x: Tensor, strength: str, seed: int) -> dict[str, float]:
    """Mean distances, and how often two images' views are nearer than one image's (0.5 = alike)."""
    torch.manual_seed(seed)
    one, other = views(x, strength), views(x, strength)
    apart = (torch.cdist(one, other) / one.shape[1] ** 0.5).numpy()
    own = np.eye(len(x), dtype=bool)
    nearer = roc_auc_score(own.ravel(), -apart.ravel())
    return {
        "positive": float(apart[own].mean()),
        "negative": float(apart[~own].mean()),
        "overlap": 1 - float(nearer),
    }


def measure(data: Path, out: Path, seeds: Sequence[int]) -> list[dict[str, Any]]:
    rows = []
    for name in TITLES:
        x = SETS[name](data, out, SIDE).x
        chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))[:IMAGES]
        pictures = x[chosen].float() / 255
        for strength in STRENGTHS:
            runs = [distances(pictures, strength, seed) for seed in seeds]
            figures = {key: [run[key] for run in runs] for key in runs[0]}
            rows.append({"set": name, "strength": strength, **figures})
    return rows


def report(rows: Sequence[dict[str, Any]]) -> str:
    cells = [
        [
            TITLES[row["set"]],
            row["strength"],
            *(mean_and_spread(row[key], 3) for key in ("positive", "negative", "overlap")),
        ]
        for row in rows
    ]
    return markdown(["images", "views", "positive pairs", "negative pairs", "overlap"], cells)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    given.out.mkdir(parents=True, exist_ok=True)
    rows = measure(given.data, given.out, given.seeds)
    settings = {"side": SIDE, "images": IMAGES, "strengths": STRENGTHS}
    result = {**provenance(), "settings": settings, "seeds": given.seeds, "rows": rows}
    (given.out / "view_distances.json").write_text(json.dumps(result, indent=1) + "\n")
    print(report(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
