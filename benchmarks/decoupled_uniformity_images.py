"""Decoupled uniformity with and without a prior, and SimCLR, on four sets of real images.

Same small encoder, steps and augmentations for all models, on one thread; each is read by a linear
probe (logistic regression on standardised features, C by cross-validation inside the training
patients). Two priors, both without labels and fitted on the same training images: a VAE's latent
mean, and whitened patches (`image_priors`). Two settings of the augmentations: all of them, and
without crop and intensity, which leaves the mirror image. Beside them: pixels, the priors
themselves under the same probe, and the untrained encoder.

    python benchmarks/decoupled_uniformity_images.py --data DIR --out OUT [--sets ...] [--seeds ...]

`DIR` holds the folders cifar10_jpeg_subset, fundus_dr_srahim, cxr_kermany_224 and ixi_t1_hh.
Finished runs are kept in OUT, so an interrupted comparison continues. Prints the tables and writes
OUT/decoupled_uniformity_images.json. Intervals: 95 %, patients (CIFAR-10: images) and seeds drawn
with replacement, the same draws for both sides of a difference. ``--inner`` takes an inner split of
the first training part in place of the test part: the kernel's width was chosen there, of 0.5, 1, 2
and 4 median distances (VAE: 1 and 2), on CIFAR-10 with one seed and half of the epochs.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from batches import Batches
from image_priors import median_distance, patch_features, pixels, vae_latents
from monai.handlers import LrScheduleHandler
from paired_runs import kept, provenance
from scored_runs import Run, report, summary
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_images import SETS, Images
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.kernels import Gaussian
from common.losses import DecoupledUniformity, InfoNCE
from common.methods import Contrastive
from common.networks import ImageClassifier, Projector, SimpleConvNet
from common.policies import EachWithProbability
from common.transforms import Composition

Array = np.ndarray
MODELS = ("SimCLR", "no prior", "VAE prior", "patch prior")
DESCRIPTIONS = ("pixels", "VAE latents", "patches")
PRIORS = {"VAE prior": "VAE latents", "patch prior": "patches"}
AUGMENTATIONS: dict[str, dict[str, float]] = {
    "all": {"resized_crop": 1.0, "mirror": 0.5, "color_jitter": 0.8, "grayscale": 0.2},
    "without crop and intensity": {"mirror": 0.5},
}
SETTINGS: dict[str, Any] = {
    "channels": [16, 32, 64, 128],
    "projection": 64,
    "temperature": 0.5,
    "t": 2.0,
    "regularization": 0.01,
    "sigma": 1.0,  # in median distances of the prior
    "rate": 2e-3,
    "decay": 1e-4,
}
SCHEDULE = {  # images a batch, epochs, epochs of the VAE
    "kermany": (128, 24, 25),
    "fundus": (64, 24, 25),
    "lesions": (128, 10, 8),
    "cifar10": (256, 10, 8),
}


def encoder() -> SimpleConvNet:
    channels = SETTINGS["channels"]
    return SimpleConvNet(3, channels, 3, [2] * len(channels), activation="relu")


def loss_of(model: str) -> nn.Module:
    if model == "SimCLR":
        return InfoNCE(SETTINGS["temperature"])
    kernel = Gaussian(SETTINGS["sigma"]) if model in PRIORS else None
    return DecoupledUniformity(SETTINGS["t"], kernel, SETTINGS["regularization"])


def trained(
    x: Tensor,
    prior: Tensor | None,
    model: str,
    augmentation: str,
    seed: int,
    size: int,
    epochs: int,
) -> nn.Module:
    """The encoder after `epochs` over the training images x, with their prior (N, P)."""
    torch.manual_seed(seed)
    chances = AUGMENTATIONS[augmentation]
    moved = Composition(list(chances), settings={"mirror": {"axes": [1]}})
    policy = EachWithProbability(list(chances.values()), moved.sizes)
    backbone = encoder()
    classifier = ImageClassifier(backbone, backbone.out_features)
    projector = Projector(backbone.out_features, 2 * SETTINGS["projection"], SETTINGS["projection"])
    method = Contrastive(classifier, projector, policy, moved, loss=loss_of(model), views=2)
    columns = {"image": x} if prior is None else {"image": x, "prior": prior}
    loader = Batches(columns, size)
    adam = partial(torch.optim.AdamW, weight_decay=SETTINGS["decay"])
    optimizers = PhaseOptimizers(method, {"encoder": SETTINGS["rate"]}, adam)
    rate = torch.optim.lr_scheduler.OneCycleLR(
        optimizers["encoder"], SETTINGS["rate"], total_steps=epochs * len(loader) + 1, pct_start=0.1
    )
    handler = LrScheduleHandler(rate, print_lr=False, epoch_level=False)
    ContrastiveTrainer(
        "cpu", epochs, loader, method, optimizers, seed=seed, train_handlers=[handler]
    ).run()
    return backbone


@torch.no_grad()
def features(backbone: nn.Module, x: Tensor) -> Array:
    backbone.eval()
    return torch.cat([backbone(part.float() / 255) for part in x.split(256)]).double().numpy()


def probe_scores(h: Array, images: Images, train: Array, test: Array) -> list[float]:
    """Decision value of each test row (two classes), or its predicted class."""
    y = images.y
    several = int(y.max()) > 1
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3))
    search = GridSearchCV(
        model,
        {"logisticregression__C": 10.0 ** np.arange(-4, 1)},
        cv=GroupKFold(3),
        scoring="accuracy" if several else "roc_auc",
    )
    search.fit(h[train], y[train], groups=images.group[train])
    scores = search.predict(h[test]) if several else search.decision_function(h[test])
    return [float(score) for score in scores]


class Comparison:
    """All runs of one data set, kept in a folder."""

    def __init__(self, name: str, images: Images, out: Path, shorten: float) -> None:
        self.images, self.out = images, out / name
        self.size, epochs, vae_epochs = SCHEDULE[name]
        self.epochs, self.vae_epochs = (max(1, round(shorten * n)) for n in (epochs, vae_epochs))

    def description(self, what: str, fold: int, seed: int) -> Array:
        """Rows of one description of all images, fitted on the training part of the fold."""
        train = self.images.splits[fold][0]
        path = self.out / f"{what} {fold} {seed}.npz"
        if not path.is_file():
            x = self.images.x
            if what == "pixels":
                h = pixels(x, train)
            elif what == "patches":
                h = patch_features(x, train, seed)
            else:
                h = vae_latents(x, train, seed, self.vae_epochs)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, h=h.astype(np.float32))
        with np.load(path) as stored:
            return np.asarray(stored["h"])

    def features(self, model: str, augmentation: str, fold: int, seed: int) -> Array:
        """Rows of the representation of all images, fitted on the training part of the fold."""
        if model in DESCRIPTIONS:
            return self.description(model, fold, seed).astype(float)
        if model == "untrained":
            torch.manual_seed(seed)
            return features(encoder(), self.images.x)
        train, prior = self.images.splits[fold][0], None
        if model in PRIORS:
            table = self.description(PRIORS[model], fold, seed)[train]
            prior = torch.from_numpy(table / median_distance(table))
        x = self.images.x[torch.from_numpy(train)]
        backbone = trained(x, prior, model, augmentation, seed, self.size, self.epochs)
        return features(backbone, self.images.x)

    def scores(self, model: str, augmentation: str, seed: int) -> list[list[float]]:
        """Scores of the test rows of each fold."""
        return [
            probe_scores(self.features(model, augmentation, fold, seed), self.images, train, test)
            for fold, (train, test) in enumerate(self.images.splits)
        ]

    def run(self, model: str, augmentation: str, seed: int) -> list[Array]:
        """`scores`, of now or of an earlier call."""
        path = self.out / f"{model} {augmentation} {seed}.json".replace("  ", " ")
        stored = kept(path, partial(self.scores, model, augmentation, seed))
        return [np.array(fold) for fold in stored]


def all_runs(comparison: Comparison, seeds: Sequence[int]) -> list[Run]:
    """Every model with every augmentation; what trains nothing first, pixels with one seed."""
    table = [(name, "", seeds) for name in (*DESCRIPTIONS, "untrained")]
    table[0] = (DESCRIPTIONS[0], "", seeds[:1])
    table += [(model, name, seeds) for name in AUGMENTATIONS for model in MODELS]
    return [
        Run(model, name, [comparison.run(model, name, seed) for seed in own])
        for model, name, own in table
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--inner", action="store_true", help="leave the test parts alone")
    parser.add_argument("--shorten", type=float, default=1.0, help="factor of the epochs")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="of SETTINGS")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    SETTINGS.update({key: json.loads(value) for key, value in (s.split("=") for s in options.set)})
    sets = {}
    for name in options.sets:
        images = SETS[name](options.data, options.out)
        images = images.inner() if options.inner else images
        comparison = Comparison(name, images, options.out, options.shorten)
        sets[name] = summary(images, all_runs(comparison, options.seeds))
        print(f"\n{name}\n\n{report(sets[name])}\n", flush=True)
    path = options.out / "decoupled_uniformity_images.json"
    if path.is_file():  # other sets of an earlier call
        sets = json.loads(path.read_text())["sets"] | sets
    result = {**provenance(), "settings": SETTINGS, "schedule": SCHEDULE, "sets": sets}
    path.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
