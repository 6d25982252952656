"""Which transformations make k-means tell treated cells from untreated ones: BBBC021 crops.

"No Free Lunch in Self Supervised Representation Learning", Tables 3 and 4, in a small setting: MoCo
v2 on VGG13 at an eighth of its width learns from the crops of the training fields, without labels,
with the first set of transformations (which crops), the second (which rotates by any angle) and the
weighted sum of a method for each of Fig. 6's two sets (0.4 and 1). k-means with two clusters on the
representations of the test fields is compared with treated or not, beside k-means on the pixels,
on the same encoder untrained and on 18 intensity features; and with the brighter half of the test
cells in each stain, to see what the clusters follow. Everything on one thread.

    OMP_NUM_THREADS=1 python benchmarks/cell_clusters.py --source bbbc021_cells --out OUT \
        --seeds 0 1 2

The crops are 1,008 of untreated cells and 1,014 of cells treated with an inhibitor of protein
synthesis, 68 pixels wide (the paper's: 196), in 50 fields of view, each of which is in one part.
Finished runs are kept in OUT; prints the table and writes OUT/cell_clusters.json.
"""

import argparse
import csv
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batches import Batches
from paired_runs import kept, markdown, mean_and_spread, provenance
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor, nn

from common.data import seeded_order
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.methods import Method, MoCo, WeightedSum
from common.metrics import clustering_scores, effective_rank
from common.metrics.clustering_scores import agreement, fit_clusters
from common.metrics.linear_probe import fit_probe
from common.networks import ImageClassifier, Projector, VGGEncoder
from common.policies import EachWithProbability
from common.transforms import Composition

SETTINGS: dict[str, Any] = {
    "width": 0.125,
    "batch": 128,
    "steps": 60,
    "rate": 1e-3,
    "decay": 1e-4,
    "features": 128,
    "momentum": 0.99,
    "queue": 1024,
    "temperature": 0.07,
    "weights": [0.4, 1.0],
    "shares": {"validation": 0.1, "test": 0.2},
}
ORDER = ("color_jitter", "mirror", "rotate", "affine", "resized_crop", "center_crop")
SETS = {  # probability of each of ORDER (B.4)
    "set_1": (1.0, 0.0, 0.0, 1.0, 1.0, 0.0),
    "set_2": (1.0, 0.0, 1.0, 1.0, 0.0, 0.0),
    "left": (1.0, 0.5, 1.0, 1.0, 1.0, 0.0),
    "right": (1.0, 0.5, 1.0, 0.0, 0.0, 1.0),
    "right_whole": (1.0, 0.5, 1.0, 0.0, 0.0, 0.0),
}
SUMS = {"weighted_sum": ("left", "right"), "sum_whole": ("left", "right_whole")}
NAMES = {
    "set_1": "first set",
    "set_2": "second set",
    "weighted_sum": "weighted sum of Fig. 6 left and right",
    "sum_whole": "the same without the centre crop",
    "left": "Fig. 6 left alone",
    "right": "Fig. 6 right alone",
    "untrained": "none: untrained encoder",
    "pixels": "none: pixels",
    "intensities": "none: 18 intensity features",
}
PAPER = {"set_1": "0.19", "set_2": "0.37", "weighted_sum": "0.51"}  # VGG13, MoCo v2, Nocodazole
STAINS = ("dapi", "tubulin", "actin")
Cells = dict[str, tuple[Tensor, np.ndarray]]  # crops and labels of each part


def cells_of(source: Path) -> Cells:
    """Crops of each part; the fields of each class are shared out by themselves."""
    stored = np.load(source / "cells_68_uint8.npz")
    x = torch.from_numpy(stored["x"]).permute(0, 3, 1, 2).contiguous()
    with (source / "labels.csv").open(newline="") as file:
        field = np.array([row["field"] for row in csv.DictReader(file)])
    part = np.full(len(field), "training", dtype="<U10")
    for label in (0, 1):
        order = seeded_order(sorted(set(field[stored["y"] == label])), seed=0)
        start = 0
        for name, share in SETTINGS["shares"].items():
            count = round(share * len(order))
            part[np.isin(field, order[start : start + count])] = name
            start += count
    y = stored["y"].astype(np.int64)
    return {name: (x[part == name], y[part == name]) for name in sorted(set(part))}


def views(name: str, side: int) -> tuple[nn.Module, nn.Module]:
    """The transformations of a set, with the ranges of B.4; a scale above 1 is 1."""
    transform = Composition(
        ORDER,
        settings={
            "color_jitter": {"brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.125},
            "mirror": {"axes": [1]},
            "affine": {"degrees": 20.0, "shift": 0.1 * side, "scale": 0.0, "shear": 10.0},
            "resized_crop": {"scale": [0.9, 1.0]},
            "center_crop": {"size": 0.5},
        },
    )
    return EachWithProbability(SETS[name], transform.sizes), transform


def method_of(name: str, side: int) -> Method:
    encoder = VGGEncoder(13, width=SETTINGS["width"])
    classifier = ImageClassifier(encoder, encoder.out_features)
    width = encoder.out_features

    def moco(one: str) -> Method:
        return MoCo(
            classifier,
            Projector(width, width, SETTINGS["features"], norm=None),
            *views(one, side),
            queue=SETTINGS["queue"],
            momentum=SETTINGS["momentum"],
            temperature=SETTINGS["temperature"],
        )

    if name in SUMS:
        return WeightedSum([moco(one) for one in SUMS[name]], SETTINGS["weights"])
    return moco(name)


@torch.no_grad()
def represented(encoder: nn.Module, x: Tensor) -> np.ndarray:
    encoder.eval()
    found = [encoder(batch.float() / 255) for batch in x.split(256)]
    return np.asarray(torch.cat(found).double())


def intensities(x: Tensor) -> np.ndarray:
    """Mean, spread and the 10th, 50th, 90th and 99th percentile of each channel ``(N, 18)``."""
    values = x.flatten(2).float() / 255
    marks = values.quantile(torch.tensor([0.1, 0.5, 0.9, 0.99]), dim=2)
    columns = [values.mean(dim=2), values.std(dim=2), *marks]
    return np.asarray(torch.cat(columns, dim=1).double())


def judged(features: dict[str, np.ndarray], cells: Cells, part: str) -> dict[str, float]:
    """Clusters of a part, what they follow, and a linear probe fitted on the training part."""
    h, (x, y) = features[part], cells[part]
    probe = fit_probe(features["training"], cells["training"][1])
    cluster = fit_clusters(h, 2).cluster
    mean = np.asarray(x.float().mean(dim=(2, 3)))
    bright = (mean > np.median(mean, axis=0)).astype(np.int64)
    follows = {
        f"ami_{stain}": agreement(bright[:, k], cluster)["ami"] for k, stain in enumerate(STAINS)
    }
    return {
        **clustering_scores(h, y),
        **follows,
        "probe": 100 * float(balanced_accuracy_score(y, probe.predict(h))),
        "rank": effective_rank(h),
    }


def baseline(name: str, cells: Cells, part: str) -> dict[str, float]:
    features = {}
    for one, (x, _) in cells.items():
        features[one] = intensities(x) if name == "intensities" else x.flatten(1).double().numpy()
    if name == "intensities":
        mean, std = features["training"].mean(axis=0), features["training"].std(axis=0)
        features = {one: (values - mean) / std for one, values in features.items()}
    return judged(features, cells, part)


def run(name: str, seed: int, cells: Cells, part: str) -> dict[str, Any]:
    torch.manual_seed(seed)
    x = cells["training"][0]
    method = method_of("set_1" if name == "untrained" else name, x.shape[-1])
    encoder = method.classifier.encoder
    started = time.process_time()
    if name != "untrained":
        adam = partial(torch.optim.Adam, weight_decay=SETTINGS["decay"])
        optimizers = PhaseOptimizers(method, {"encoder": SETTINGS["rate"]}, adam)
        loader = Batches({"image": x}, SETTINGS["batch"], SETTINGS["steps"])
        ContrastiveTrainer("cpu", 1, loader, method, optimizers, seed=seed).run()
    seconds = time.process_time() - started
    features = {one: represented(encoder, images) for one, (images, _) in cells.items()}
    return {"name": name, "seed": seed, "seconds": seconds, **judged(features, cells, part)}


def rows_of(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread over seeds, in the order of the names."""
    rows = []
    for name, title in NAMES.items():
        mine = [one for one in runs if one["name"] == name]
        if mine:
            row: dict[str, Any] = {"name": title, "seeds": len(mine)}
            for figure, digits in (
                *(("ami", 3), ("ami_arithmetic", 3), ("silhouette", 2)),
                *(("probe", 1), ("rank", 1), *((f"ami_{stain}", 2) for stain in STAINS)),
            ):
                values = [one[figure] for one in mine if figure in one]
                if values:
                    row[figure] = mean_and_spread(values, digits)
            row["lowest"] = round(min(one["ami"] for one in mine), 3)
            row["highest"] = round(max(one["ami"] for one in mine), 3)
            row["paper"] = PAPER.get(name, "")
            row["cpu_seconds"] = round(max(one["seconds"] for one in mine))
            rows.append(row)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    header = ["transformations", "AMI", "lowest", "AMI, arithmetic", "silhouette", "probe, %", "s"]
    columns = ["name", "ami", "lowest", "ami_arithmetic", "silhouette", "probe", "cpu_seconds"]
    return markdown(header, [[str(row[column]) for column in columns] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of the crops")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="*", default=["set_1", "set_2", "weighted_sum"])
    parser.add_argument("--steps", type=int, default=SETTINGS["steps"])
    parser.add_argument("--part", choices=("validation", "test"), default="test")
    options = parser.parse_args()
    SETTINGS["steps"] = options.steps
    torch.set_num_threads(1)
    cells = cells_of(options.source)
    counts = {part: np.bincount(y).tolist() for part, (_, y) in cells.items()}
    for seed in options.seeds:
        for name in ("untrained", *options.sets):
            path = options.out / options.part / f"{name}_seed{seed}.json"
            kept(path, partial(run, name, seed, cells, options.part))
    for name in ("pixels", "intensities"):
        path = options.out / options.part / f"{name}.json"
        found = partial(baseline, name, cells, options.part)
        kept(path, lambda name=name, found=found: {"name": name, "seconds": 0.0, **found()})
    paths = sorted((options.out / options.part).glob("*.json"))
    runs = [json.loads(path.read_text()) for path in paths]
    rows = rows_of(runs)
    print(table(rows))
    record = {"settings": SETTINGS, "counts": counts, "rows": rows, "runs": runs, **provenance()}
    (options.out / "cell_clusters.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(main())
