"""Every self-supervised method with convolutions, on pictures and on volumes."""

from typing import Any

import pytest
import torch
from torch import nn

from common.engines import ContrastiveTrainer, PhaseOptimizers
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
    Supervised,
    SwAV,
    ViewGroup,
    WeightedSum,
    cross_entropy,
)
from common.networks import ConvEncoder, DINOHead, ImageClassifier, IterNorm, Projector
from common.policies import Uniform
from common.transforms import Composition

QUEUE = {"queue": 8}
LOSSES = {"SimCLR": InfoNCE(0.2), "Barlow": BarlowTwins(0.1), "VICReg": VICReg()}
PREDICTED = {"BYOL": BYOL, "NNBYOL": NNBYOL, "NNCLR": NNCLR, "SimSiam": SimSiam}
KEPT = {"MoCo": MoCo, "ReSSL": ReSSL}
NAMES = [*LOSSES, *PREDICTED, *KEPT, "VIbCReg", "SwAV", "DeepClusterV2", "DINO", "WeightedSum"]


def make(name: str, dims: int) -> Method:
    torch.manual_seed(0)
    transform = Composition(("flip_0", "blur", "crop", "noise"), spatial_dims=dims)
    views = (Uniform(transform.n_parameters), transform)
    classifier = ImageClassifier(ConvEncoder(dims, 1, (4, 6)), 6, num_classes=3)

    def projector(end: nn.Module | None = None) -> Projector:
        return Projector(6, 8, 4, norm="BATCH", end=end)

    parts: tuple[Any, ...] = (classifier, projector(), *views)
    if name in LOSSES:
        return Contrastive(*parts, loss=LOSSES[name])
    if name in PREDICTED:
        queue = QUEUE if name.startswith("NN") else {}
        return PREDICTED[name](*parts[:2], Projector(4, 8, 4), *views, **queue)
    if name in KEPT:
        return KEPT[name](*parts, **QUEUE)
    if name == "SwAV":
        return SwAV(*parts, prototypes=3)
    if name == "DeepClusterV2":
        return DeepClusterV2(*parts, images=6, prototypes=3)
    if name == "DINO":
        group = ViewGroup(*views, count=2)
        return DINO(classifier, DINOHead(6, 5, 8, 4), [group], loss=DINOLoss(5), momentum=0.5)
    if name == "VIbCReg":
        end = IterNorm(4, groups=2)
        return Contrastive(classifier, projector(end), *views, loss=VIbCReg())
    byol = BYOL(*parts[:2], Projector(4, 8, 4), *views)
    return WeightedSum([byol, Contrastive(*parts, loss=VICReg())], [0.4, 1.0])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_every_method_trains_a_convolutional_encoder(name: str, dims: int) -> None:
    method = make(name, dims)
    image = torch.rand(6, 1, *[8] * dims, generator=torch.Generator().manual_seed(1))
    content = {"image": image, "position": torch.arange(6)}
    kernels = [p for p in method.classifier.encoder.parameters() if p.dim() > 1]
    before = [p.detach().clone() for p in kernels]
    optimizers = PhaseOptimizers(method, {"encoder": 0.1}, torch.optim.SGD)
    ContrastiveTrainer("cpu", 2, [content], method, optimizers).run()
    assert not any(torch.equal(p, b) for p, b in zip(kernels, before))
    assert method.eval()(image).isfinite().all()


def test_a_frozen_encoder_stays_as_it_is_while_its_head_learns() -> None:
    torch.manual_seed(0)
    classifier = ImageClassifier(ConvEncoder(2, 1, (4, 6)), 6, num_classes=3)
    method = Supervised(classifier, loss=cross_entropy, frozen=True)
    encoder = {name: value.clone() for name, value in classifier.encoder.state_dict().items()}
    head = classifier.head.weight.detach().clone()
    content = {"image": torch.rand(6, 1, 8, 8), "label": torch.arange(6) % 3}
    optimizers = PhaseOptimizers(method, {"encoder": 0.1}, torch.optim.SGD)
    ContrastiveTrainer("cpu", 2, [content], method, optimizers).run()
    torch.testing.assert_close(classifier.encoder.state_dict(), encoder, rtol=0, atol=0)
    assert not torch.equal(classifier.head.weight, head)
