"""DeepCluster v2: its k-means, its memory bank, and its steps."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.methods import DeepClusterV2
from common.methods.spherical_k_means import spherical_k_means
from tests.common.methods.test_momentum_encoders import Halves, Scale, parts
from tests.oracles import prototype_losses, whitening
from tests.tiny import batch

RATE = {"encoder": 0.3}


def unit(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(count, 4, generator=generator, dtype=torch.double)
    return torch.nn.functional.normalize(rows, dim=1)


def make(**settings: Any) -> DeepClusterV2:
    chosen = {"images": 12, "prototypes": 3, "heads": 3, "temperature": 0.3, **settings}
    return DeepClusterV2(*parts(), Halves(), Scale(), **chosen).double()


def halves_of_the_set() -> list[dict[str, Tensor]]:
    return [{**batch(seed=n), "position": torch.arange(6) + 6 * n} for n in range(2)]


def train(method: DeepClusterV2, epochs: int) -> None:
    optimizers = PhaseOptimizers(method, RATE, optimizer=torch.optim.SGD)
    ContrastiveTrainer("cpu", epochs, halves_of_the_set(), method, optimizers).run()


def project(method: DeepClusterV2, x: Tensor) -> Tensor:
    z = method.projector(method.classifier.encode(x))
    return torch.nn.functional.normalize(z, dim=1).detach()


def test_spherical_k_means_is_its_loops() -> None:
    centroids, nearest = spherical_k_means(unit(30), 5, rounds=4, seed=2)
    start = torch.randperm(30, generator=torch.Generator().manual_seed(2))[:5]
    expected = whitening.spherical_k_means(unit(30).numpy(), unit(30)[start].numpy(), 4)
    np.testing.assert_allclose(centroids, expected[0], atol=1e-12)
    assert nearest.tolist() == expected[1].tolist()


def test_the_first_epoch_fills_the_bank_and_learns_nothing() -> None:
    method = make()
    start = method.projector.weight.detach().clone()
    train(method, 1)
    assert torch.equal(method.projector.weight, start)
    for n, content in enumerate(halves_of_the_set()):
        for view, share in enumerate((1, 2)):
            expected = project(method, content["image"] / share)
            torch.testing.assert_close(method.bank[view, 6 * n : 6 * n + 6], expected)
    assert bool(method.known.all())
    assert int(method.assignment.max()) == -1


def test_an_epoch_begins_with_the_clusters_of_the_last() -> None:
    method = make()
    train(method, 1)
    method.begin_epoch()
    for head in range(3):
        expected = spherical_k_means(method.bank[head % 2], 3, rounds=10, seed=head)
        torch.testing.assert_close(method.centroids[head], expected[0])
        assert torch.equal(method.assignment[:, head], expected[1])


def test_a_step_minimises_the_cross_entropy_of_the_clusters_of_its_images() -> None:
    method, content = make(), halves_of_the_set()[1]
    train(method, 1)
    method.begin_epoch()
    (phase,) = method.steps(content)
    z = torch.stack([project(method, content["image"] / share) for share in (1, 2)], dim=1)
    scores = torch.einsum("bvd,hkd->bvhk", z, method.centroids)
    chosen = method.assignment[content["position"]]
    expected = prototype_losses.deep_cluster_v2(scores.numpy(), chosen.numpy(), 0.3)
    assert float(phase.loss.detach()) == pytest.approx(expected, abs=1e-10)


def test_the_second_epoch_learns_and_images_never_seen_stay_without_cluster() -> None:
    method = make(images=13)
    start = method.projector.weight.detach().clone()
    train(method, 2)
    assert (method.projector.weight - start).abs().max() > 1e-6
    assert method.assignment[12].tolist() == [-1, -1, -1]
    assert int(method.assignment[:12].min()) >= 0


@pytest.mark.bad_input("learning")
def test_a_wrong_setting_or_batch_is_told_in_one_line() -> None:
    for settings, message in (
        ({"heads": 0}, r"^DeepClusterV2: prototypes, heads and rounds must be at least 1"),
        ({"images": 2}, r"^DeepClusterV2: prototypes must be at most the 2 images of the"),
    ):
        with pytest.raises(InputError, match=message):
            make(**settings)
    for content, message in (
        (batch(), r"^DeepClusterV2: the batch must hold 'position'"),
        ({**batch(), "position": torch.arange(9, 15)}, r"position must be below images, 12, got 9"),
    ):
        with pytest.raises(InputError, match=message):
            next(make().steps(content))


@pytest.mark.bad_input("learning")
def test_fewer_images_in_the_batches_than_prototypes_are_told_in_one_line() -> None:
    method = make(images=20, prototypes=15)
    with pytest.raises(InputError, match=r"at most the 12 images that an epoch's batches hold"):
        train(method, 2)
