"""Learned transformations on whole brains: IXI volumes of 6 mm, half of them with a tumour.

    OMP_NUM_THREADS=1 python benchmarks/tumours_3d.py --source ixi_t1_hh --out OUT
        [--seeds 0 1 2] [--strategies ...] [--epochs 12]

The strategies of `strategies.py` in three dimensions, which no bundle reads: the same method, loss,
policies and transformations with ``spatial_dims = 3``. Of each brain there are four volumes, two of
them with a tumour of `tumours.py` (radius 3 to 7 voxels), each with a brightness of its own; parts
by patient, a tenth of the training patients labelled. Every strategy has the same network, rates
and steps; none was tuned here (M's rate is the one that slices of validation patients chose).
Finished runs are kept in OUT; prints the table of `strategies.py`, writes OUT/strategies.json.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inserted_lesions import read_volumes, split_patients
from paired_runs import provenance
from strategies import STRATEGIES, table, text
from torch.utils.data import DataLoader
from tumours import Tumour

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.evaluation import audit_transforms
from common.losses import DecoupledInfoNCE
from common.methods import LearnedTransforms, OneViewSimCLR, Supervised
from common.metrics import linear_probe
from common.networks import ConvEncoder, ImageClassifier, Projector
from common.policies import EachWithProbability, TransformationNetwork, Uniform
from common.transforms import Composition

SHAPE = (32, 36, 32)  # 28 x 34 x 28 voxels of 6 mm with black around them
TUMOUR = Tumour(smallest=3.0, largest=7.0, width=7.0)
COPIES = 4
CHANNELS = (4, 8, 16, 32)
ORDER = ["blur", "noise", "crop", "flip_0", "flip_1", "flip_2", "rotate"]
RATES = {"encoder": 0.002, "policy": 0.0001}
ALPHA = {
    "random": (0.0, 0.0, 1.0, 0.0, 0.0),
    "random_supervised": (0.0, 0.0, 1.0, 10.0, 10.0),
    "self_supervised": (1.0, 0.0, 1.0, 0.0, 0.0),
    "self_supervised_supervised": (1.0, 10.0, 1.0, 1.0, 1.0),
}
Cases = list[dict[str, Any]]


def coarse(volume: np.ndarray) -> np.ndarray:
    """Mean of 2 x 2 x 2 voxels, as bytes, with black around it: 6 mm of 3 mm."""
    sides = [side // 2 for side in volume.shape]
    blocks = volume.reshape(sides[0], 2, sides[1], 2, sides[2], 2).mean((1, 3, 5))
    missing = [whole - side for whole, side in zip(SHAPE, sides)]
    return np.rint(np.pad(blocks, [(m // 2, m - m // 2) for m in missing])).astype(np.uint8)


def cases_of(source: Path) -> dict[str, Cases]:
    """Training and test volumes; "label" 0 or 1, and on the test ones "fold" and "mask"."""
    volumes = read_volumes(source)
    parts: dict[str, Cases] = {"training": [], "validation": [], "test": []}
    split = split_patients(list(volumes), 0)
    for patient, volume in sorted(volumes.items()):
        part, fold = split[patient]
        rng = np.random.default_rng([0, *patient.encode()])
        for copy in range(COPIES):
            picture, mask = TUMOUR.drawn(coarse(volume), copy % 2 == 1, rng)
            case = {"patient": patient, "label": copy % 2, "fold": -1 if fold is None else fold}
            case["image"] = torch.from_numpy(picture)[None] / 255
            case["mask"] = torch.from_numpy(mask)[None].float()
            parts[part].append(case)
    return parts


def labelled(cases: Cases, fraction: float, seed: int) -> Cases:
    """Images and labels, -1 for all but a fraction of the patients."""
    patients = sorted({case["patient"] for case in cases})
    drawn = np.random.default_rng(seed).permutation(patients)[: round(fraction * len(patients))]
    known = set(drawn.tolist())
    return [
        {"image": c["image"], "label": c["label"] if c["patient"] in known else -1} for c in cases
    ]


def method_of(strategy: str) -> Any:
    """A strategy as its overlay of the 2D bundle has it."""
    encoder = ConvEncoder(3, channels=CHANNELS)
    features = encoder.out_features
    classifier = ImageClassifier(encoder, features, 1)
    transform = Composition(ORDER, spatial_dims=3)
    half = EachWithProbability(0.5, transform.sizes)
    if strategy.startswith("supervised"):
        return Supervised(classifier, policy=half, transform=transform)
    projector = Projector(features, features, 128)
    loss = DecoupledInfoNCE(1.0)
    if strategy == "base_simclr":
        return OneViewSimCLR(classifier, projector, half, transform, loss)
    policy = Uniform(transform.n_parameters)
    if strategy.startswith("self_supervised"):
        policy = TransformationNetwork(3, n_parameters=transform.n_parameters, grid=4)
    return LearnedTransforms(classifier, projector, policy, transform, loss, ALPHA[strategy])


def run(strategy: str, seed: int, parts: dict[str, Cases], epochs: int, folder: Path) -> None:
    """Train one strategy with one seed and score it on the test patients."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    method = method_of(strategy)
    rates = dict(RATES) if list(method.policy.parameters()) else {"encoder": RATES["encoder"]}
    fraction = 1.0 if strategy == "supervised_100" else 0.1
    training = labelled(parts["training"], fraction, seed)
    loader = DataLoader(training, 32, shuffle=True, drop_last=True)
    untrained = scored(method, parts["test"])
    optimizers = PhaseOptimizers(method, rates)
    ContrastiveTrainer("cpu", epochs, loader, method, optimizers, seed=seed).run()
    found = scored(method, parts["test"])
    batches = DataLoader([{k: c[k] for k in ("image", "mask")} for c in parts["test"]], 32)
    torch.manual_seed(seed)
    transforms, _ = audit_transforms(method.policy, method.transform, batches, "cpu")
    rows = {key: np.array([c[key] for c in parts["test"]]) for key in ("fold", "patient", "label")}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "scores.npz", score=found.scores, **rows)
    pixels = np.stack([c["image"].flatten().numpy() for c in parts["test"]])
    probe = linear_probe(pixels, rows["label"], rows["fold"])
    baselines = {"pixels": {"auc_mean": probe.mean}, "untrained": {"auc_mean": untrained.mean}}
    result = {"auc_mean": found.mean, "transform": transforms, "baselines": baselines}
    (folder / "evaluation.json").write_text(json.dumps(result))


@torch.no_grad()
def scored(method: Any, cases: Cases) -> Any:
    """Linear probe of the encoder on test patients, fold by fold."""
    method.eval()
    h = [method.classifier.encode(case["image"][None]).numpy()[0] for case in cases]
    label, fold = (np.array([case[key] for case in cases]) for key in ("label", "fold"))
    method.train()
    return linear_probe(np.stack(h), label, fold)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args(arguments)
    parts = cases_of(options.source)
    for seed in options.seeds:
        for strategy in options.strategies:
            folder = options.out / f"{strategy}_seed{seed}"
            if not (folder / "evaluation.json").is_file():
                run(strategy, seed, parts, options.epochs, folder)
            found = json.loads((folder / "evaluation.json").read_text())
            print(f"{folder.name}: AUC {found['auc_mean']:.3f}", flush=True)
    rows = table(options.out, options.strategies, options.seeds)
    result = {"epochs": options.epochs, "seeds": options.seeds, "rows": rows, **provenance()}
    (options.out / "strategies.json").write_text(json.dumps(result, indent=1) + "\n")
    print(text(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
