"""Tables of regional brain features, and the networks that learn age from them.

Folds are grouped by subject, features standardised by the rows a network is trained on. Everything
but the loss and FairKL is the same for all networks: `SETTINGS`.
"""

import argparse
import csv
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from batches import Batches
from monai.handlers import LrScheduleHandler
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.kernels import Gaussian
from common.losses import FairKL, KernelContrastive
from common.methods import Contrastive, Supervised, absolute_error
from common.networks import EmbeddingEncoder, ImageClassifier, Projector

Array = np.ndarray
TABLES = {
    "ixi": ("ixi_dlmuse_roi_3sites.csv", "ID", ""),
    # FreeSurfer's cortical thickness; the other columns hold constants and counts of surface holes
    "openneuro": ("openneuro_thickness_multisite.csv", "sub_id", "thickness"),
}
NOT_FEATURES = {"ID", "sub_id", "site", "sitenum", "age", "sex", "split"}
SETTINGS = {"batch": 128, "steps": 200, "rate": 1e-3, "decay": 1e-4, "noise": 0.5, "dropout": 0.3}
SIGMA, TEMPERATURE, WIDTH, EMBEDDING = 5.0, 0.1, 128, 128
LOSSES = {
    "l1": None,
    "y-aware": ("all", "paper"),
    "L_exp paper": ("exponential", "paper"),
    "L_exp released": ("exponential", "released"),
}
BIN_YEARS = 5.0
Fair = tuple[str, str, float] | None  # FairKL's variant, its label, its weight


class Table(NamedTuple):
    """One row a scan, in a fixed random order."""

    features: Array  # (N, F)
    age: Array  # (N,) years
    site: Array  # (N,) integers
    group: Array  # (N,) subject
    sites: list[str]


def options(description: str) -> argparse.ArgumentParser:
    """The options of a benchmark on these tables."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    return parser


def load(source: Path, name: str) -> Table:
    """Rows in a fixed random order: the challenge's age head takes contiguous folds."""
    file, subject, only = TABLES[name]
    with (source / file).open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    columns = [key for key in rows[0] if key not in NOT_FEATURES and only in key]
    order = np.random.default_rng(0).permutation(len(rows))
    rows = [rows[k] for k in order]
    sites, site = np.unique([row["site"] for row in rows], return_inverse=True)
    features = np.array([[float(row[key]) for key in columns] for row in rows])
    age = np.array([float(row["age"]) for row in rows])
    return Table(features, age, site, np.array([row[subject] for row in rows]), list(sites))


def folds(table: Table) -> list[tuple[Array, Array]]:
    return list(GroupKFold(5).split(table.features, groups=table.group))


def inner_folds(table: Table, train: Array) -> list[tuple[Array, Array]]:
    """Three folds of the training rows, by subject: every row is validated once."""
    parts = GroupKFold(3).split(train, groups=table.group[train])
    return [(train[fit], train[validate]) for fit, validate in parts]


class Noise(nn.Module):
    """Gaussian noise on standardised features while training: the augmentation of a table."""

    def forward(self, x: Tensor) -> Tensor:
        """Return `x`, with noise in training."""
        return x + SETTINGS["noise"] * torch.randn_like(x) if self.training else x


def method(loss: str, features: int, fair: Fair, sigma: float = SIGMA) -> Contrastive | Supervised:
    backbone = nn.Sequential(
        Noise(),
        Projector(features, WIDTH, WIDTH, layers=2),
        nn.ReLU(),
        nn.Dropout(SETTINGS["dropout"]),
    )
    form, labels, weight = fair or ("paper", "one class", 0.0)
    regularizer = FairKL(variant=form, variance_floor=0.05) if fair else None
    columns = {"y": "age", "bias": "site", "label": labels}
    extra = {"regularizer": regularizer, "regularizer_weight": weight, "columns": columns}
    if LOSSES[loss] is None:
        classifier = ImageClassifier(backbone, WIDTH)
        return Supervised(classifier, loss=absolute_error, target="standard age", **extra)
    repulsion, variant = LOSSES[loss]
    encoder = EmbeddingEncoder(backbone, Projector(WIDTH, WIDTH, EMBEDDING))
    contrast = KernelContrastive(Gaussian(sigma), TEMPERATURE, repulsion, variant)
    return Contrastive(ImageClassifier(encoder, EMBEDDING), loss=contrast, views=1, **extra)


def represent(
    table: Table, train: Array, loss: str, fair: Fair, seed: int, sigma: float = SIGMA
) -> tuple[Array, Array | None]:
    """Train on the rows `train`; return the representation of all rows and, for l1, their ages."""
    torch.manual_seed(seed)
    scaled = StandardScaler().fit(table.features[train]).transform(table.features)
    x = torch.tensor(scaled, dtype=torch.float32)
    age = torch.tensor(table.age[train], dtype=torch.float32)
    columns = {
        "image": x[train],
        "age": age,
        "standard age": (age - age.mean()) / age.std(),
        "site": torch.tensor(table.site[train]),
        "one class": torch.zeros(len(train), dtype=torch.long),
        "age bins": torch.floor(age / BIN_YEARS).long(),
    }
    network = method(loss, x.shape[1], fair, sigma)
    adam = partial(torch.optim.AdamW, weight_decay=SETTINGS["decay"])
    optimizers = PhaseOptimizers(network, {"encoder": SETTINGS["rate"]}, adam)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizers["encoder"], SETTINGS["steps"])
    ContrastiveTrainer(
        device="cpu",
        max_epochs=1,
        train_data_loader=Batches(columns, SETTINGS["batch"], SETTINGS["steps"]),
        network=network,
        optimizers=optimizers,
        seed=seed,
        train_handlers=[LrScheduleHandler(cosine, print_lr=False, epoch_level=False)],
    ).run()
    network.eval()
    with torch.no_grad():
        h = network.classifier.encode(x)
        predicted = network.classifier.head(h)[:, 0] * age.std() + age.mean()
    return h.double().numpy(), predicted.double().numpy() if loss == "l1" else None
