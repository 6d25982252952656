"""SwAV, its prototypes and Sinkhorn's iterations."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from common.checks import InputError
from common.losses import SwAV as SwappedLoss
from common.methods import SwAV, sinkhorn
from common.networks import Prototypes
from tests.common.methods.test_momentum_encoders import Halves, Scale, parts, run
from tests.oracles import prototype_losses as oracle
from tests.tiny import batch


def make(**settings: Any) -> SwAV:
    classifier, projector = parts()
    chosen = {"prototypes": 3, "temperature": 0.3, "epsilon": 0.2, **settings}
    method = SwAV(classifier, projector, Halves(), Scale(), **chosen)
    return method.double()


def scores(rows: int = 7) -> Tensor:
    generator = torch.Generator().manual_seed(rows)
    return torch.rand(rows, 4, generator=generator, dtype=torch.double) * 2 - 1


@pytest.mark.parametrize("rounds", [1, 3])
def test_sinkhorn_equals_its_loops(rounds: int) -> None:
    expected = oracle.sinkhorn(scores().numpy(), 0.2, rounds)
    np.testing.assert_allclose(sinkhorn(scores(), epsilon=0.2, rounds=rounds), expected, atol=1e-12)


def test_sinkhorn_spreads_alike_rows_and_stands_a_tiny_epsilon() -> None:
    alike = sinkhorn(torch.ones(8, 4) * torch.tensor([1.0, 0.9, 0, -1]), epsilon=0.05, rounds=50)
    torch.testing.assert_close(alike, torch.full((8, 4), 0.25))
    assert torch.isfinite(sinkhorn(scores().float(), epsilon=1e-4)).all()


def test_rows_of_a_queue_take_their_share() -> None:
    together = oracle.sinkhorn(np.concatenate([scores(), scores(5)]), 0.2, 3)[:7]
    ours = sinkhorn(scores(), epsilon=0.2, earlier=scores(5))
    np.testing.assert_allclose(ours, together, atol=1e-12)


def test_prototypes_give_cosines_and_keep_their_length() -> None:
    prototypes = Prototypes(2, 5)
    z = 7 * prototypes.weight.detach()
    torch.testing.assert_close(prototypes(z).diagonal(), torch.ones(5))
    with torch.no_grad():
        prototypes.weight.mul_(3)
    prototypes.normalize()
    torch.testing.assert_close(prototypes.weight.norm(dim=1), torch.ones(5))


def test_a_step_minimises_the_swapped_loss_of_the_balanced_assignments() -> None:
    method, x = make(), batch()["image"]
    (phase,) = method.steps(batch())
    z = [method.projector(method.classifier.encode(view)) for view in (x, x / 2)]
    s = torch.stack([method.prototypes(one) for one in z], dim=1).detach()
    q = [oracle.sinkhorn(s[:, v].numpy(), 0.2, 3) for v in range(2)]
    expected = oracle.swav(s.numpy(), np.stack(q, axis=1), 0.3)
    assert float(phase.loss.detach()) == pytest.approx(expected, abs=1e-10)
    assert isinstance(method.loss, SwappedLoss)


def test_prototypes_wait_while_frozen_and_train_afterwards() -> None:
    method = make(frozen=1)
    start = method.prototypes.weight.detach().clone()
    run(method, 1)
    torch.testing.assert_close(method.prototypes.weight, start, rtol=0, atol=1e-7)
    run(method, 2)
    assert (method.prototypes.weight - start).abs().max() > 1e-6


@pytest.mark.parametrize(("queue", "after", "first"), [(8, 0, 2), (6, 3, 3), (6, 0, 1)])
def test_the_queue_is_used_once_it_is_full_and_after_the_batches_told(
    queue: int, after: int, first: int
) -> None:
    method, plain = make(queue=queue, queue_after=after), make()
    for turn in range(4):
        losses = [float(next(m.steps(batch(seed=9))).loss.detach()) for m in (method, plain)]
        assert (abs(losses[0] - losses[1]) > 1e-6) == (turn >= first), turn
        for m in (method, plain):
            list(m.steps(batch(seed=turn)))  # no optimiser: the weights stay equal
    assert int(method.batches) == 4


def test_scores_are_precise_under_autocast() -> None:
    method = make().float()
    z = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = method.prototypes(z)
    assert torch.equal(inside, method.prototypes(z))


@pytest.mark.bad_input("learning")
def test_senseless_settings_are_told_in_one_line() -> None:
    for settings, message in (
        ({"queue": -1}, r"^SwAV: queue, queue_after and frozen must be at least 0"),
        ({"prototypes": 0}, r"^Prototypes: in_features and number must be at least 1, got 4 and 0"),
    ):
        with pytest.raises(InputError, match=message):
            make(**settings)
    with pytest.raises(InputError, match=r"^sinkhorn: epsilon must be positive"):
        sinkhorn(scores(), epsilon=0)
