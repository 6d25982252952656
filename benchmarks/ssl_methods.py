"""The thirteen methods of "No Free Lunch in Self Supervised Representation Learning" on digits.

ResNet18 at a quarter of its width learns from the first 10,000 training digits of MNIST, without
labels, in so many epochs as every method is given; a linear probe (logistic regression on
standardised features) is fitted on the same digits and scored on the 10,000 test digits, beside
the same encoder untrained. Views, encoder, optimiser, batch and epochs are one for all; what a
method has beside is below. Everything on one thread.

    OMP_NUM_THREADS=1 python benchmarks/ssl_methods.py --source mnist --out OUT [--seeds 0 1 2]

Reported beside the probe: `common.metrics.effective_rank` of the test features, and their spread,
the mean standard deviation of a column of unit vectors times the root of their number: 1 where they
lie evenly on the sphere, 0 where all are one (Chen and He, SimSiam, CVPR 2021, section 4.1).
Finished runs are kept in OUT; prints the table and writes OUT/ssl_methods.json.
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batches import Batches
from one_cycle import train
from paired_runs import kept, markdown, mean_and_spread, provenance
from torch import Tensor, nn

from common.losses import DINO as DINOLoss
from common.losses import BarlowTwins, InfoNCE, VIbCReg, VICReg
from common.methods import (
    BYOL,
    DINO,
    NNBYOL,
    NNCLR,
    Contrastive,
    DeepClusterV2,
    Method,
    MoCo,
    ReSSL,
    SimSiam,
    SwAV,
    ViewGroup,
)
from common.metrics import effective_rank
from common.metrics.linear_probe import fit_probe
from common.networks import DINOHead, ImageClassifier, IterNorm, Projector, ResNet18Encoder
from common.policies import EachWithProbability
from common.transforms import Composition
from data_prep.digits.mnist import read_digits

IMAGES = 10_000
Digits = dict[str, tuple[Tensor, np.ndarray]]  # images and labels of "training" and "test"
SETTINGS: dict[str, Any] = {
    "width": 0.25,
    "batch": 128,
    "epochs": 8,
    "rate": 2e-3,
    "decay": 1e-4,
    "hidden": 256,
    "features": 128,
    "momentum": 0.97,
    "queue": 2048,
    "prototypes": 100,
    "off_diagonal": 0.08,  # 0.005 at the authors' 2,048 features: the two sums keep their ratio
    "degrees": 20.0,
    "crop_scale": [0.4, 1.0],
}
NAMES = {
    "simclr": "SimCLR",
    "moco_v2": "MoCo v2+",
    "byol": "BYOL",
    "nnbyol": "NNBYOL",
    "nnclr": "NNCLR",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "vibcreg": "VIbCReg",
    "simsiam": "SimSiam",
    "swav": "SwAV",
    "deep_cluster_v2": "DeepCluster v2",
    "re_ssl": "ReSSL",
    "dino": "DINO",
}


def encoder() -> ResNet18Encoder:
    return ResNet18Encoder(spatial_dims=2, in_channels=1, width=SETTINGS["width"])


def views() -> tuple[nn.Module, nn.Module]:
    """Turned, moved and scaled a little, then cropped: no colours on digits, no mirror."""
    transform = Composition(
        ["affine", "resized_crop"],
        settings={
            "affine": {"degrees": SETTINGS["degrees"], "shift": 2.0},
            "resized_crop": {"scale": SETTINGS["crop_scale"]},
        },
    )
    return EachWithProbability([1.0, 1.0], transform.sizes), transform


def method_of(name: str) -> Method:
    """The method with the settings of the papers, its sizes cut to the task."""
    backbone, moved = encoder(), views()
    width, hidden, features = backbone.out_features, SETTINGS["hidden"], SETTINGS["features"]
    classifier = ImageClassifier(backbone, width)
    queue, momentum = {"queue": SETTINGS["queue"]}, {"momentum": SETTINGS["momentum"]}

    def head(
        layers: int = 2, end: nn.Module | None = None, norm: str | None = "BATCH"
    ) -> Projector:
        return Projector(width, hidden, features, layers=layers, norm=norm, end=end)

    def predictor() -> Projector:
        return Projector(features, hidden, features, norm="BATCH")

    two = (classifier, head(), predictor(), *moved)
    one = (classifier, head(), *moved)
    if name == "dino":
        dino = DINOHead(width, SETTINGS["prototypes"], hidden, features)
        group, loss = ViewGroup(*moved, count=2), DINOLoss(SETTINGS["prototypes"])
        return DINO(classifier, dino, [group], loss=loss, **momentum)
    if name == "nnclr":
        end = nn.BatchNorm1d(features)
        return NNCLR(classifier, head(3, end), predictor(), *moved, **queue, temperature=0.2)
    if name == "simsiam":
        end = nn.BatchNorm1d(features, affine=False)
        return SimSiam(classifier, head(3, end), predictor(), *moved)
    if name == "deep_cluster_v2":
        return DeepClusterV2(*one, images=IMAGES, prototypes=SETTINGS["prototypes"])
    whitened = IterNorm(features, groups=4)
    others = {
        "simclr": lambda: Contrastive(classifier, head(norm=None), *moved, loss=InfoNCE(0.2)),
        "moco_v2": lambda: MoCo(
            classifier,
            head(norm=None),
            *moved,
            **queue,
            **momentum,
            temperature=0.2,
            symmetric=True,
        ),
        "byol": lambda: BYOL(*two, **momentum),
        "nnbyol": lambda: NNBYOL(*two, **queue, **momentum),
        "barlow_twins": lambda: Contrastive(
            classifier, head(3), *moved, loss=BarlowTwins(SETTINGS["off_diagonal"])
        ),
        "vicreg": lambda: Contrastive(classifier, head(3), *moved, loss=VICReg()),
        "vibcreg": lambda: Contrastive(classifier, head(3, whitened), *moved, loss=VIbCReg()),
        "swav": lambda: SwAV(*one, prototypes=SETTINGS["prototypes"]),
        "re_ssl": lambda: ReSSL(*one, **queue, **momentum),
    }
    made: Method = others[name]()
    return made


def read_both(source: Path) -> Digits:
    """The first `IMAGES` digits for training and those for the test."""
    digits = {}
    for part, training in (("training", True), ("test", False)):
        images, labels = read_digits(source, training)
        digits[part] = (torch.from_numpy(images[:IMAGES].copy())[:, None], labels[:IMAGES])
    return digits


@torch.no_grad()
def features_of(network: nn.Module, x: Tensor) -> np.ndarray:
    network.eval()
    found = [network(batch.float() / 255) for batch in x.split(1000)]
    return np.asarray(torch.cat(found).double())


def judged(network: nn.Module, digits: Digits) -> dict[str, float]:
    (x, y), (x_test, y_test) = digits["training"], digits["test"]
    h = features_of(network, x_test)
    probe = fit_probe(features_of(network, x), y)
    unit = h / np.linalg.norm(h, axis=1, keepdims=True).clip(1e-12)
    return {
        "probe": 100 * float((probe.predict(h) == y_test).mean()),
        "rank": effective_rank(h),
        "spread": float(unit.std(axis=0).mean() * h.shape[1] ** 0.5),
    }


def run(name: str, seed: int, digits: Digits, out: Path) -> dict[str, Any]:
    torch.manual_seed(seed)
    method = method_of(name)
    start = method.classifier.encoder  # the same weights for every method of a seed
    untrained = kept(out / "untrained" / f"seed{seed}.json", lambda: judged(start, digits))
    x = digits["training"][0]
    loader = Batches({"image": x, "position": torch.arange(len(x))}, SETTINGS["batch"])
    seconds = train(method, loader, SETTINGS, seed)
    trained = judged(method.classifier.encoder, digits)
    return {"method": name, "seed": seed, "seconds": seconds} | {
        "trained": trained,
        "untrained": untrained,
    }


def rows_of(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread over seeds, the best probe first."""
    rows = []
    for name, title in NAMES.items():
        mine = [one for one in runs if one["method"] == name]
        if mine:
            row: dict[str, Any] = {"method": title, "seeds": len(mine)}
            for state in ("trained", "untrained"):
                for figure, digits in (("probe", 2), ("rank", 1), ("spread", 2)):
                    values = [one[state][figure] for one in mine]
                    row[f"{state}_{figure}"] = mean_and_spread(values, digits)
            row["cpu_seconds"] = round(max(one["seconds"] for one in mine))
            rows.append(row)
    return sorted(rows, key=lambda row: -float(row["trained_probe"].split()[0]))


def table(rows: list[dict[str, Any]]) -> str:
    header = ["method", "probe, %", "untrained, %", "rank", "untrained", "spread", "untrained", "s"]
    columns = [
        *("method", "trained_probe", "untrained_probe", "trained_rank", "untrained_rank"),
        *("trained_spread", "untrained_spread", "cpu_seconds"),
    ]
    return markdown(header, [[str(row[column]) for column in columns] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--methods", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--finished", action="store_true", help="tabulate the finished runs alone")
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    options = parser.parse_args()
    SETTINGS["epochs"] = options.epochs
    torch.set_num_threads(1)
    digits = read_both(options.source)
    for seed in options.seeds:
        for name in options.methods:
            path = options.out / "runs" / f"{name}_seed{seed}.json"
            if not options.finished:
                kept(path, partial(run, name, seed, digits, options.out))
    runs = [json.loads(path.read_text()) for path in sorted((options.out / "runs").glob("*.json"))]
    rows = rows_of(runs)
    print(table(rows))
    record = {"settings": SETTINGS, "rows": rows, "runs": runs, **provenance()}
    (options.out / "ssl_methods.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(main())
