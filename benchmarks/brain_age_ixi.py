"""Brain age from grey-matter maps of one site: kernel losses, an l1 network, classical baselines.

181 IXI brains, 5 folds stratified by age (one scan a subject); each seed has its own partition into
folds, the same for all models, and its own initial weights. Every network is the same small 3D
encoder, trained by this project's engine with the same number of steps on the maps averaged to
6 mm, each view moved by at most one voxel along each axis and mirrored left-right half the time.
The contrastive losses are read as the brain-age papers do: ridge regression on the normalised
projection (`common.metrics.openbhb.fit_age`), here its mean over the map and its six copies
moved by one voxel; the l1 network predicts age itself, the mean over the same seven. Classical:
ridge on all voxels, on 60 principal components, and an RBF-SVR, each tuned by 5-fold
cross-validation inside the training fold; SVR's kernel width is relative to the median distance.
"moved copies": fitted on the seven of each map, the prediction being the mean over them. A network
named "no augmentation" trains on, and reads, the map as it is; one with "batch norm in the head"
has it after the hidden layer of its projection head.

    python benchmarks/brain_age_ixi.py --source IXI_FOLDER --out OUT [--models ...] [--seeds 0 1 2]

Finished runs are kept in OUT, so an interrupted comparison continues. Prints the table and writes
OUT/brain_age_ixi.json. `SETTINGS` were fixed on inner splits of the training folds; see the page.
"""

import argparse
import csv
import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from batches import Batches
from classical_ages import CLASSICAL, classical_ages
from monai.handlers import LrScheduleHandler
from paired_runs import kept, markdown, mean_and_spread, paired_interval, provenance
from scipy.stats import t as student
from sklearn.model_selection import StratifiedKFold
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.kernels import Gaussian
from common.losses import KernelContrastive
from common.methods import Contrastive, Method, Supervised, absolute_error
from common.metrics.openbhb import fit_age
from common.networks import EmbeddingEncoder, ImageClassifier, Projector
from common.policies import EachWithProbability
from common.transforms import Composition
from common.transforms.photo import shift

Array = np.ndarray
SETTINGS = {
    "channels": [8, 16],
    "features": 128,
    "dropout": 0.5,
    "embedding": 64,
    "sigma": 5.0,
    "temperature": 0.1,
    "batch": 36,
    "epochs": 60,
    "rate": 1e-3,
    "decay": 0.05,
}
LOSSES = {
    "l1": None,
    "y-aware": ("all", "paper"),
    "L_thr paper": ("threshold", "paper"),
    "L_thr released": ("threshold", "released"),
    "L_exp paper": ("exponential", "paper"),
    "L_exp released": ("exponential", "released"),
}
NO_AUGMENTATION = ", no augmentation"
BATCH_NORM = ", batch norm in the head"
MOVED_COPIES = ", moved copies"


class Brains(NamedTuple):
    """Maps and ages, in a fixed random order."""

    maps: Tensor  # (N, 1, 28, 34, 28), grey matter in [0, 1], 6 mm
    age: Array  # (N,) years
    subject: Array  # (N,)


def load(source: Path, average: int = 2) -> Brains:
    """Subjects of known age; `average` voxels of 3 mm a side are averaged to one."""
    with (source / "participants.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    with np.load(source / "ixi_hh_gm_3mm_uint8.npz") as stored:
        if [row["id"] for row in rows] != list(stored["id"]):
            raise ValueError(f"{source}: participants.csv and the maps list different subjects.")
        maps = torch.from_numpy(stored["gm"])
    known = [k for k, row in enumerate(rows) if row["age"]]
    order = np.array(known)[np.random.default_rng(0).permutation(len(known))]
    volumes = maps[torch.from_numpy(order)].unsqueeze(1).float() / 255
    return Brains(
        nn.functional.avg_pool3d(volumes, average),
        np.array([float(rows[k]["age"]) for k in order]),
        np.array([rows[k]["subject"] for k in order]),
    )


def by_age(age: Array, parts: int = 10) -> Array:
    """Class of each subject for stratification: quantiles of age."""
    return np.digitize(age, np.quantile(age, np.linspace(0, 1, parts + 1)[1:-1]))


def folds(brains: Brains, seed: int) -> list[tuple[Array, Array]]:
    split = StratifiedKFold(5, shuffle=True, random_state=seed)
    return list(split.split(brains.age, by_age(brains.age)))


def encoder_of_positions(image: Sequence[int]) -> nn.Module:
    """Two strided convolutions, then a linear layer that sees where each feature was.

    Global pooling, as in the published encoders, forgets the place; on maps registered to one
    template the place is the anatomy.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise([1, *SETTINGS["channels"]]):
        layers += [
            nn.Conv3d(before, after, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm3d(after),
            nn.ReLU(),
        ]
        image = [(n + 1) // 2 for n in image]
    features = SETTINGS["channels"][-1] * prod(image)
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Dropout(SETTINGS["dropout"]),
        nn.Linear(features, SETTINGS["features"]),
        nn.ReLU(),
    )


def method(model: str, image: Sequence[int]) -> Method:
    augmented, normalised = NO_AUGMENTATION not in model, BATCH_NORM in model
    loss = model.split(",")[0]
    moved = Composition(
        ["mirror", "shift"], 3, settings={"mirror": {"axes": [0]}, "shift": {"pixels": 1}}
    )
    views = (EachWithProbability([0.5, 1.0], moved.sizes), moved) if augmented else (None, None)
    backbone, width = encoder_of_positions(image), SETTINGS["features"]
    if LOSSES[loss] is None:
        classifier = ImageClassifier(backbone, width)
        return Supervised(classifier, *views, loss=absolute_error, target="standard age")
    repulsion, variant = LOSSES[loss]
    projector = Projector(width, width, SETTINGS["embedding"], norm="BATCH" if normalised else None)
    encoder = EmbeddingEncoder(backbone, projector)
    kernel = Gaussian(SETTINGS["sigma"])
    contrast = KernelContrastive(kernel, SETTINGS["temperature"], repulsion, variant)
    classifier = ImageClassifier(encoder, SETTINGS["embedding"])
    return Contrastive(classifier, None, *views, loss=contrast, views=1, columns={"y": "age"})


def network_ages(brains: Brains, train: Array, model: str, seed: int) -> Array:
    """Train on the rows `train`; return the age of every row, in years."""
    torch.manual_seed(seed)
    rows = torch.from_numpy(train)
    centre, scale = brains.maps[rows].mean(dim=0), brains.maps[rows].std()
    x = (brains.maps - centre) / scale
    age = torch.tensor(brains.age[train], dtype=torch.float32)
    mean, deviation = age.mean(), age.std()
    columns = {"image": x[rows], "age": age, "standard age": (age - mean) / deviation}
    network, loader = method(model, x.shape[2:]), Batches(columns, SETTINGS["batch"])
    adam = partial(torch.optim.AdamW, weight_decay=SETTINGS["decay"])
    optimizers = PhaseOptimizers(network, {"encoder": SETTINGS["rate"]}, adam)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizers["encoder"],
        SETTINGS["rate"],
        total_steps=SETTINGS["epochs"] * len(loader) + 1,
        pct_start=0.2,
    )
    ContrastiveTrainer(
        device="cpu",
        max_epochs=SETTINGS["epochs"],
        train_data_loader=loader,
        network=network,
        optimizers=optimizers,
        seed=seed,
        train_handlers=[LrScheduleHandler(rate, print_lr=False, epoch_level=False)],
    ).run()
    network.eval()
    if model.startswith("l1"):
        standard = mean_over_copies(network.classifier, copies(x, model))
        return standard[:, 0] * float(deviation) + float(mean)
    h = mean_over_copies(network.classifier.encode, copies(x, model))
    return fit_age(h[train], brains.age[train]).predict(h)


def copies(maps: Tensor, model: str) -> list[Tensor]:
    """The maps and, unless the model has no augmentation, their six moves by one voxel."""
    if NO_AUGMENTATION in model:
        return [maps]
    moves = torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.eye(3)])
    return [shift(maps, ((move + 1) / 2).expand(len(maps), 3), pixels=1) for move in moves]


def mean_over_copies(read: Callable[[Tensor], Tensor], views: Sequence[Tensor]) -> Array:
    """Mean over the views of what `read` gives for each, ``(N, ...)`` in float64."""
    with torch.no_grad():
        parts = [torch.cat([read(part) for part in x.split(32)]).double() for x in views]
    return torch.stack(parts).mean(dim=0).numpy()


def ages_of(brains: Brains, train: Array, model: str, seed: int) -> Array:
    """Fit on the rows `train`; return the age of every row, in years."""
    name = model.removesuffix(MOVED_COPIES)
    if name not in CLASSICAL:
        return network_ages(brains, train, model, seed)
    views = copies(brains.maps, model) if name != model else [brains.maps]
    voxels = torch.stack(views).flatten(2).double().numpy()
    return classical_ages(voxels, brains.age, train, name)


def cross_validated(brains: Brains, model: str, seed: int) -> list[float]:
    """Age of every subject, predicted by the network or model of the fold that tests it."""
    predicted = np.zeros(len(brains.age))
    for train, test in folds(brains, seed):
        predicted[test] = ages_of(brains, train, model, seed)[test]
    return predicted.tolist()


def compared(
    brains: Brains, error: Array, reference: Array, seeds: Sequence[int]
) -> dict[str, Any]:
    """Difference of the errors (seeds, N) of two models on the same folds.

    Over folds: Student's interval of the mean over all folds of all partitions, its variance
    corrected for their overlap (Nadeau and Bengio 2003: 1 / folds + test / train). Over subjects:
    bootstrap of the difference, mean over seeds.
    """
    difference = error - reference
    per_fold = np.array(
        [
            row[test].mean()
            for row, seed in zip(difference, seeds)
            for _, test in folds(brains, seed)
        ]
    )
    spread = per_fold.std(ddof=1) * np.sqrt(1 / len(per_fold) + 1 / 4)
    half = student.ppf(0.975, len(per_fold) - 1) * spread
    subject = difference.mean(axis=0)
    return {
        "difference": float(difference.mean()),
        "over_folds": [float(per_fold.mean() - half), float(per_fold.mean() + half)],
        "over_subjects": paired_interval(brains.subject, lambda rows: [subject[rows].mean()])[0],
        "each_fold": per_fold.tolist(),
    }


def summary(
    brains: Brains, out: Path, models: Sequence[str], seeds: Sequence[int]
) -> dict[str, Any]:
    errors, rows = {}, {}
    moved = [name + MOVED_COPIES for name in CLASSICAL]
    for model in (*CLASSICAL, *moved, *models):
        runs = [
            kept(out / f"{model} {seed}.json", partial(cross_validated, brains, model, seed))
            for seed in seeds
        ]
        errors[model] = np.abs(np.array(runs) - brains.age)
        rows[model] = {"mae_per_seed": errors[model].mean(axis=1).tolist()}
    strongest = [min(names, key=lambda name: errors[name].mean()) for names in (CLASSICAL, moved)]
    references = [name for name in (*strongest, "l1") if name in errors]
    for model in models:
        rows[model]["against"] = {
            name: compared(brains, errors[model], errors[name], seeds)
            for name in references
            if name != model
        }
    return {"references": references, "models": rows}


def report(result: dict[str, Any]) -> str:
    rows = []
    for model, row in result["models"].items():
        cells = [model, mean_and_spread(row["mae_per_seed"])]
        for name in result["references"]:
            against = row.get("against", {}).get(name)
            cells.append("" if against is None else difference_and_interval(against))
        rows.append(cells)
    header = ["model", "MAE (std over seeds)", *(f"minus {name}" for name in result["references"])]
    return markdown(header, rows)


def difference_and_interval(against: dict[str, Any]) -> str:
    low, high = against["over_folds"]
    return f"{against['difference']:+.2f} ({low:+.2f} to {high:+.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--average", type=int, default=2, help="3 mm voxels averaged a side")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    brains = load(options.source, options.average)
    figures = summary(brains, options.out, options.models, options.seeds)
    result = {**provenance(), "settings": SETTINGS, "seeds": options.seeds, **figures}
    (options.out / "brain_age_ixi.json").write_text(json.dumps(result, indent=1) + "\n")
    print(report(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
