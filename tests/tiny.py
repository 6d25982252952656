"""The smallest networks, methods and batches that a method or an engine can be run with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader
from torch import Tensor, nn

from common.distributed import gather
from common.engines import ContrastiveTrainer, EpochSampler, PhaseOptimizers, RunFolder
from common.losses import DecoupledInfoNCE, InfoNCE
from common.methods import (
    BYOL,
    Contrastive,
    LearnedTransforms,
    Method,
    MoCo,
    OneViewSimCLR,
    Supervised,
    classification_loss,
)
from common.networks import ConvEncoder, ImageClassifier, Projector
from common.policies import TransformationNetwork, Uniform
from common.transforms import Composition

SIDE = 8
FEATURES = 5
RATES = {"encoder": 0.3, "policy": 0.2, "head": 0.1}
DETERMINISTIC = ("blur", "crop", "flip_0", "rotate")  # no noise


class Matrix(nn.Module):
    """``activation(pixels @ weight)``: no bias, no normalisation over the batch."""

    def __init__(self, inputs: int, outputs: int, activation: str) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.3 * torch.randn(inputs, outputs))
        self.activation = getattr(torch, activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x.flatten(1) @ self.weight)


class Linear(nn.Module):
    """``h @ weight``."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs))

    def forward(self, h: Tensor) -> Tensor:
        return h @ self.weight


class Gap(nn.Module):
    """Squared distance between the mean representations of the two values of the bias."""

    targets = ("bias",)

    def forward(self, h: Tensor, bias: Tensor) -> Tensor:
        rows, bias = gather(h.mean(dim=1)), gather(bias)
        return (rows[bias == 0].mean(dim=0) - rows[bias == 1].mean(dim=0)).square().sum()


def matrix_method(**settings: Any) -> LearnedTransforms:
    """`LearnedTransforms` in float64 out of single matrices, the same on every call."""
    torch.manual_seed(0)
    transform = Composition(DETERMINISTIC)
    return LearnedTransforms(
        ImageClassifier(Matrix(SIDE**2, FEATURES, "tanh"), FEATURES),
        Linear(FEATURES, 4),
        Matrix(SIDE**2, transform.n_parameters, "sigmoid"),
        transform,
        DecoupledInfoNCE(),
        **settings,
    ).double()


def conv_method(kind: str = "learned", **settings: Any) -> Method:
    """A method of `kind` with convolutions and batch normalisation, noise included."""
    transform = Composition()
    classifier = ImageClassifier(ConvEncoder(channels=(4, 6)), 6)
    if kind == "supervised":
        return Supervised(classifier, Uniform(transform.n_parameters), transform)
    projector = Projector(6, 6, 4)
    policy = Uniform(transform.n_parameters)
    if kind == "contrastive":
        head = {"loss": InfoNCE(0.2), "head_loss": classification_loss}
        return Contrastive(classifier, projector, policy, transform, **{**head, **settings})
    if kind == "moco":
        return MoCo(classifier, projector, policy, transform, **{"queue": 10, **settings})
    if kind == "byol":
        projector, predictor = (Projector(n, 6, 4, norm="BATCH") for n in (6, 4))
        return BYOL(classifier, projector, predictor, policy, transform, **settings)
    if kind == "simclr":
        return OneViewSimCLR(classifier, projector, policy, transform, DecoupledInfoNCE())
    m = TransformationNetwork(n_parameters=transform.n_parameters, channels=(3, 4))
    return LearnedTransforms(classifier, projector, m, transform, DecoupledInfoNCE(), **settings)


def batch(count: int = 6, seed: int = 1, dtype: torch.dtype = torch.double) -> dict[str, Tensor]:
    """Images in [0, 1], two of three labelled."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(count, 1, SIDE, SIDE, dtype=torch.double, generator=generator).to(dtype)
    label = torch.tensor([0, 1, -1]).repeat(count)[:count]
    return {"image": image, "label": label}


def entries(count: int, dtype: torch.dtype = torch.float32) -> list[dict[str, Tensor]]:
    """The images of `batch` one by one, as a data set."""
    whole = batch(count, dtype=dtype)
    return [{key: value[index] for key, value in whole.items()} for index in range(count)]


def trainer(
    method: Method,
    data: Sequence[dict[str, Tensor]],
    batch_size: int,
    max_epochs: int = 1,
    optimizer: Any = torch.optim.SGD,
    seed: int = 0,
    **settings: Any,
) -> ContrastiveTrainer:
    """An engine over `data` (entries), shuffled by (seed, epoch)."""
    loader = DataLoader(
        data, batch_size=batch_size, sampler=EpochSampler(data, seed=seed), drop_last=True
    )
    optimizers = PhaseOptimizers(method, RATES, optimizer=optimizer)
    return ContrastiveTrainer("cpu", max_epochs, loader, method, optimizers, seed=seed, **settings)


def one_batch(method: Method, content: dict[str, Tensor], **settings: Any) -> ContrastiveTrainer:
    """The engine after one step on `content`, with plain gradient descent."""
    optimizers = PhaseOptimizers(method, RATES, optimizer=torch.optim.SGD)
    engine = ContrastiveTrainer("cpu", 1, [content], method, optimizers, **settings)
    engine.run()
    return engine


def run_folder(
    path: Path,
    objects: Mapping[str, Any],
    bundle: str = "tiny",
    resume: bool = False,
    snapshot_interval: int = 1,
    dataset_dir: Path = Path("no data"),
    checkpoint_every: str = "1 epoch",
) -> RunFolder:
    """The handler of a run called "learned", of objects of which "network" is the method."""
    model = objects["network"].classifier
    rest = (model, dataset_dir, resume, snapshot_interval, checkpoint_every)
    return RunFolder(path, bundle, "learned", 0, objects, *rest)


def write_record(folder: Path, dials: Mapping[str, Any] | None = None, **facts: Any) -> None:
    """What a training called "learned" leaves in its folder beside snapshots."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {"bundle": "tiny", "strategy": "learned", "seed": 0, "data": None, "classes": None}
    message = {"config": dict(dials or {}), "dials": dict(dials or {}), "changed": []}
    (folder / "run.json").write_text(json.dumps({**named, **message, "head": "", **facts}))


def written(
    folder: Path,
    epochs: int,
    resume: bool,
    seed: int,
    optimizer: Mapping[str, Any],
    handlers: Sequence[Mapping[str, Any]],
    **objects: Any,
) -> dict[str, Any]:
    """A training as a bundle's train.json writes it: optimisers, handlers, the run's folder.

    Args:
        folder: of the run.
        epochs: see `ContrastiveTrainer`.
        resume: see `RunFolder`.
        seed: of the weights.
        optimizer: of the phases "encoder" and "head".
        handlers: that come before the run's folder.
        objects: more of the configuration, and of what the run's folder keeps.
    """
    torch.manual_seed(seed)
    kept = {name: f"@{name}" for name in ("network", "optimizers", *objects)}
    return {
        "network": conv_method("contrastive"),
        "data": entries(8),
        "optimizers": {
            "_target_": "common.engines.PhaseOptimizers",
            "network": "@network",
            "learning_rates": {"encoder": 0.3, "head": 0.1},
            "optimizer": optimizer,
        },
        "run_folder": {
            "_target_": "common.engines.RunFolder",
            "run_dir": str(folder),
            "objects": kept,
            "bundle": "tiny",
            "strategy": "tiny",
            "seed": 0,
            "dataset_dir": "",
            "model": "$@network.classifier",
            "resume": resume,
        },
        "handlers": [*handlers, "@run_folder"],
        "trainer": {
            "_target_": "common.engines.ContrastiveTrainer",
            "device": "cpu",
            "max_epochs": epochs,
            "train_data_loader": {"_target_": "DataLoader", "dataset": "@data", "batch_size": 4},
            "network": "@network",
            "optimizers": "@optimizers",
            "train_handlers": "@handlers",
        },
        **objects,
    }
