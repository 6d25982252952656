"""A weighted sum of methods on one encoder, against the methods alone."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.losses import DINO as DINOLoss
from common.losses import InfoNCE
from common.methods import (
    BYOL,
    DINO,
    Contrastive,
    Method,
    MoCo,
    ViewGroup,
    WeightedSum,
    classification_loss,
)
from common.networks import DINOHead, ImageClassifier
from tests.common.methods.test_momentum_encoders import Halves, Scale
from tests.tiny import FEATURES, SIDE, Linear, Matrix, batch, one_batch


def shared() -> ImageClassifier:
    torch.manual_seed(0)
    return ImageClassifier(Matrix(SIDE**2, FEATURES, "tanh"), FEATURES)


def byol(classifier: ImageClassifier) -> BYOL:
    torch.manual_seed(1)
    heads = (Linear(FEATURES, 4), Linear(4, 4))
    return BYOL(classifier, *heads, Halves(), Scale(), momentum=0.9)


def moco(classifier: ImageClassifier) -> MoCo:
    torch.manual_seed(2)
    projector = Linear(FEATURES, 4)
    projector.out_features = 4
    return MoCo(classifier, projector, Halves(), Scale(), queue=8, momentum=0.8, temperature=0.3)


def contrastive(classifier: ImageClassifier, **settings: Any) -> Contrastive:
    views = (Linear(FEATURES, 4), Halves(), Scale())
    return Contrastive(classifier, *views, loss=InfoNCE(0.3), **settings)


def both(weights: tuple[float, float] = (0.4, 1.0)) -> WeightedSum:
    classifier = shared()
    return WeightedSum([byol(classifier), moco(classifier)], weights).double()


def gradients(method: Method, weight: float) -> dict[str, Tensor]:
    """Of the encoder and of the heads, by the name in the method."""
    loss = weight * next(method.steps(batch())).loss
    named = {n: p for n, p in method.named_parameters() if p.requires_grad and "head" not in n}
    return dict(zip(named, torch.autograd.grad(loss, list(named.values()))))


def test_loss_and_gradient_are_the_weighted_sum_of_the_methods_own() -> None:
    first, second = byol(shared()).double(), moco(shared()).double()
    apart = [gradients(first, 0.4), gradients(second, 1.0)]
    together = gradients(both(), 1.0)
    encoder = apart[0].pop("classifier.encoder.weight") + apart[1].pop("classifier.encoder.weight")
    torch.testing.assert_close(together.pop("classifier.encoder.weight"), encoder)
    named = {f"methods.{n}.{k}": g for n, found in enumerate(apart) for k, g in found.items()}
    torch.testing.assert_close(together, named)


def test_a_step_logs_each_term_and_moves_both_momentum_encoders_and_the_queue() -> None:
    method = both()
    engine = one_batch(method, batch())
    terms = {"encoder/negative_cosine_1", "encoder/contrastive_2", "encoder/loss", "loss"}
    assert set(engine.state.output[0]) == terms
    fast = method.classifier.encoder.weight
    for member, m in zip(method.methods, (0.9, 0.8)):
        slow = member.momentum_encoder.module[0].weight
        torch.testing.assert_close(slow, m * shared().double().encoder.weight + (1 - m) * fast)
    assert int(method.methods[1].loss.position) == 6


def test_every_parameter_is_in_one_phase_once() -> None:
    classifier = shared()
    watched = contrastive(classifier, head_loss=classification_loss)
    method = WeightedSum([watched, moco(classifier)], [1.0, 1.0])
    phases = method.phase_parameters()
    ids = [id(p) for found in phases.values() for p in found]
    wanted = {id(p) for p in method.parameters() if p.requires_grad}
    assert list(phases) == ["head", "encoder"]
    assert sorted(ids) == sorted(wanted)
    assert {id(p) for p in phases["head"]} == {id(p) for p in classifier.head.parameters()}
    assert [phase.name for phase in method.double().steps(batch())] == ["head", "encoder"]


def test_the_head_of_one_method_learns_as_it_does_alone() -> None:
    alone = contrastive(shared(), head_loss=classification_loss).double()
    classifier = shared()
    members = [moco(classifier), contrastive(classifier, head_loss=classification_loss)]
    together = WeightedSum(members, [0.0, 1.0]).double()
    for method in (alone, together):
        one_batch(method, batch())
    torch.testing.assert_close(together.classifier.head.weight, alone.classifier.head.weight)


@pytest.mark.bad_input("learning")
def test_what_cannot_be_summed_is_told_in_one_line() -> None:
    one, other = shared(), shared()
    group = ViewGroup(nn.Identity(), nn.Identity(), 2)
    dino = DINO(one, DINOHead(FEATURES, 6, 5, 4), [group], loss=DINOLoss(6))
    headed = {"head_loss": classification_loss}
    for methods, weights, message in (
        ([byol(one)], [1.0], r"methods must be two or more with a weight each, got 1 and 1"),
        (
            [byol(other), moco(other)],
            [1.0, -1],
            r"weights must be at least 0, finite and not all 0",
        ),
        ([byol(other), moco(other)], [0, 0.0], r"weights must be .* not all 0, got \(0, 0.0\)"),
        ([byol(other)] * 2, [1, 1], r"methods must be objects of their own"),
        ([byol(other), moco(shared())], [1, 1], r"got a MoCo that does not"),
        ([dino, byol(one)], [1, 1], r"got a DINO that does not"),
        (
            [contrastive(other, **headed), contrastive(other, **headed)],
            [1, 1],
            r"one method at most may have a phase head",
        ),
    ):
        with pytest.raises(InputError, match=f"^WeightedSum: .*{message}"):
            WeightedSum(methods, weights)
