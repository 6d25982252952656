"""What transformations leave of digits: clusters, with set 1 and set 2 of "No Free Lunch".

MoCo v2 trains VGG11 at an eighth of its width on MNIST's 60,000 training digits, 32 x 32 pixels,
without labels; once with the transformations that keep the digit (a border, turns up to 25 degrees,
crops, negatives), once with those that destroy it (mirror, any turn, crops, erased boxes). The
features of the 10,000 test digits are clustered by k-means (K = 10, ten starts) and compared with
the digits; a linear probe is fitted on the first 10,000 training digits. Pixels and the untrained
encoder stand beside. Settings are the paper's (appendix B.2) but for the width, the batch of 64,
the length, a normalisation within groups of channels (its VGG has none) and a rate that rises and
falls; none was chosen by a figure. Everything on one thread.

    OMP_NUM_THREADS=1 python benchmarks/digit_clusters.py --source mnist --out OUT [--seeds 0 1 2]

Finished runs are kept in OUT; prints the table and writes OUT/digit_clusters.json.
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
from torch.nn import functional

from common.methods import MoCo
from common.metrics import clustering_scores, effective_rank
from common.metrics.linear_probe import fit_probe
from common.networks import ImageClassifier, Projector, VGGEncoder
from common.policies import EachWithProbability
from common.transforms import Composition
from data_prep.digits.mnist import read_digits

PROBED = 10_000
RANKED = 5_000  # images that the rank is computed on
SIDE = 32
SETTINGS: dict[str, Any] = {
    "width": 0.125,
    "groups": 4,
    "batch": 64,
    "epochs": 1,
    "rate": 1e-3,
    "decay": 1e-4,
    "features": 128,
    "momentum": 0.99,
    "queue": 1024,
    "temperature": 0.07,
}
FIGURES = {"ami": 3, "ami_arithmetic": 3, "silhouette": 3, "probe": 2, "rank": 1}  # decimals
SETS: dict[str, tuple[list[str], list[float], dict[str, Any]]] = {
    "set 1": (
        ["pad", "affine", "resized_crop", "invert"],
        [1.0, 1.0, 1.0, 0.5],
        {
            "pad": {"share": [0.1, 0.4]},
            "affine": {"degrees": 25.0, "shift": 0.0, "scale": 0.0},
            "resized_crop": {"scale": [0.5, 0.9]},
        },
    ),
    "set 2": (
        ["mirror", "rotate", "resized_crop", "erase"],
        [0.5, 1.0, 1.0, 0.5],
        {
            "mirror": {"axes": [1]},
            "resized_crop": {"scale": [0.9, 1.0]},
            "erase": {"scale": [0.02, 0.3]},
        },
    ),
}
Digits = dict[str, tuple[Tensor, np.ndarray]]  # images and labels of "training" and "test"


def method_of(name: str) -> MoCo:
    order, chances, settings = SETS[name]
    transform = Composition(order, settings=settings)
    norm = ("GROUP", {"num_groups": SETTINGS["groups"]}) if SETTINGS["groups"] else "BATCH"
    encoder = VGGEncoder(11, in_channels=1, width=SETTINGS["width"], norm=norm)
    width = encoder.out_features
    return MoCo(
        ImageClassifier(encoder, width),
        Projector(width, width, SETTINGS["features"]),
        EachWithProbability(chances, transform.sizes),
        transform,
        queue=SETTINGS["queue"],
        momentum=SETTINGS["momentum"],
        temperature=SETTINGS["temperature"],
    )


@torch.no_grad()
def features_of(network: nn.Module, x: Tensor) -> np.ndarray:
    network.eval()
    return np.asarray(torch.cat([network(batch.float() / 255) for batch in x.split(1000)]))


def judged(training: np.ndarray, h: np.ndarray, digits: Digits) -> dict[str, float]:
    """Clusters, probe and rank of the features of the test digits."""
    label = digits["test"][1].astype(np.int64)
    probe = fit_probe(training, digits["training"][1][:PROBED])
    right = float((probe.predict(h.astype(np.float64)) == label).mean())
    rank = effective_rank(h[:RANKED])
    return clustering_scores(h, label) | {"probe": 100 * right, "rank": rank}


def of_encoder(network: nn.Module, digits: Digits) -> dict[str, float]:
    x, x_test = digits["training"][0][:PROBED], digits["test"][0]
    return judged(features_of(network, x), features_of(network, x_test), digits)


def of_pixels(digits: Digits) -> dict[str, float]:
    x, x_test = digits["training"][0][:PROBED], digits["test"][0]
    return judged(*(some.flatten(1).float().numpy() / 255 for some in (x, x_test)), digits)


def run(name: str, seed: int, digits: Digits, out: Path) -> dict[str, Any]:
    torch.manual_seed(seed)
    method = method_of(name)
    encoder = method.classifier.encoder  # the same weights for both sets of a seed
    untrained = kept(out / f"untrained_seed{seed}.json", lambda: of_encoder(encoder, digits))
    loader = Batches({"image": digits["training"][0]}, SETTINGS["batch"])
    seconds = train(method, loader, SETTINGS, seed)
    trained = of_encoder(encoder, digits)
    return {"set": name, "seed": seed, "seconds": seconds} | {
        "trained": trained,
        "untrained": untrained,
    }


def enlarged(pixels: np.ndarray) -> Tensor:
    x = torch.from_numpy(pixels.copy())[:, None]
    parts = [
        functional.interpolate(some.float(), (SIDE, SIDE), mode="bilinear").round().byte()
        for some in x.split(5000)
    ]
    return torch.cat(parts)


def read(source: Path) -> Digits:
    parts = {"training": read_digits(source, True), "test": read_digits(source, False)}
    return {part: (enlarged(images), labels) for part, (images, labels) in parts.items()}


def rows_of(runs: list[dict[str, Any]], pixels: dict[str, float]) -> list[dict[str, str]]:
    """Mean and spread over seeds of the figures on the test digits."""
    mine = {name: [run["trained"] for run in runs if run["set"] == name] for name in SETS}
    untrained = {run["seed"]: run["untrained"] for run in runs}
    mine |= {"untrained": list(untrained.values()), "pixels": [pixels]}
    return [
        {"representation": name, "seeds": str(len(found))}
        | {
            figure: mean_and_spread([one[figure] for one in found], digits)
            for figure, digits in FIGURES.items()
        }
        for name, found in mine.items()
        if found
    ]


def table(rows: list[dict[str, str]]) -> str:
    columns = ["representation", *FIGURES]
    heads = ["representation", "AMI", "AMI (arithmetic)", "silhouette", "probe, %", "rank"]
    return markdown(heads, [[row[column] for column in columns] for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True, help="folder of MNIST's idx files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    for name, value in SETTINGS.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    SETTINGS.update({name: getattr(options, name) for name in SETTINGS})
    torch.set_num_threads(1)
    digits = read(options.source)
    for seed in options.seeds:
        for name in options.sets:
            path = options.out / "runs" / f"{name.replace(' ', '')}_seed{seed}.json"
            kept(path, partial(run, name, seed, digits, options.out))
    pixels = kept(options.out / "pixels.json", partial(of_pixels, digits))
    runs = [json.loads(path.read_text()) for path in sorted((options.out / "runs").glob("*.json"))]
    rows = rows_of(runs, pixels)
    print(table(rows))
    record = {"settings": SETTINGS, "rows": rows, "pixels": pixels, "runs": runs, **provenance()}
    (options.out / "digit_clusters.json").write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    sys.exit(main())
