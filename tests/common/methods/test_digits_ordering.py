"""CRL-TAC against SimCLR on 8,000 digits in a large field: what the paper's Table 1 orders."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from torch import Tensor, nn

from common.engines import ContrastiveTrainer, EpochSampler, ExponentialSchedule, PhaseOptimizers
from common.losses import InfoMaxBound
from common.methods import TrainableCrop
from common.metrics.linear_probe import fit_probe
from common.networks import ChannelEncoder, CropEncoder, ImageClassifier, Projector
from common.policies import CellCrops, CropChannel, UniformCrops
from common.transforms import CropGrid
from data_prep.digits import CELLS, in_cells
from data_prep.digits.mnist import read_digits

GRID = CropGrid(84, 20, 4)
IMAGES, TESTED, EPOCHS, BATCH = 8000, 1000, 3, 128

pytestmark = pytest.mark.slow


class Digits(NamedTuple):
    images: Tensor
    label: np.ndarray


def digits(source: Path, training: bool, count: int) -> Digits:
    images, label = read_digits(source, training)
    cell = np.random.default_rng(int(training)).integers(CELLS, size=count)
    fields = np.stack(list(in_cells(images[:count], cell)))
    return Digits(torch.from_numpy(fields)[:, None].float() / 255, label[:count])


def trained(channel: nn.Module, images: Tensor) -> ChannelEncoder:
    projector = Projector(200, 200, 50, leading_activation=True)
    network = ChannelEncoder(CropEncoder(), projector, channel)
    classifier = ImageClassifier(network, 200, 10)
    method = TrainableCrop(classifier, InfoMaxBound(5.0), channel_images=64)
    rates = {name: 1e-3 for name in method.phase_parameters()}
    optimizers = PhaseOptimizers(method, rates)
    data = Dataset([{"image": image} for image in images])
    loader = DataLoader(data, batch_size=BATCH, sampler=EpochSampler(data), drop_last=True)
    falling = ExponentialSchedule(method, "entropy_weight", 2.0, 0.5)
    ContrastiveTrainer(
        "cpu", EPOCHS, loader, method, optimizers, seed=0, train_handlers=[falling]
    ).run()
    return network.eval()


@torch.no_grad()
def accuracy(network: ChannelEncoder, train: Digits, test: Digits) -> float:
    observed, unseen = network(train.images[: 2 * TESTED]), network(test.images)
    probe = fit_probe(observed.numpy(), train.label[: 2 * TESTED], standardized=False)
    return float(probe.score(unseen.numpy(), test.label))


def test_a_trained_channel_finds_the_digit_and_beats_uniform_crops(shared_data: Path) -> None:
    train = digits(shared_data / "mnist", True, IMAGES)
    test = digits(shared_data / "mnist", False, TESTED)
    torch.manual_seed(0)
    ours = trained(CropChannel(GRID, reduction=4), train.images)
    sim_clr = trained(UniformCrops(GRID), train.images)
    with torch.no_grad():
        on_digit = (ours.channel(test.images).exp() * GRID.touching(test.images)).sum(dim=1)
    assert on_digit.mean() > 0.95
    scores = {"ours": accuracy(ours, train, test), "SimCLR": accuracy(sim_clr, train, test)}
    sim_clr.channel = CellCrops(GRID)
    scores["oracle"] = accuracy(sim_clr, train, test)
    assert scores["ours"] > scores["SimCLR"] + 0.1, scores
    assert scores["oracle"] > scores["SimCLR"], scores
