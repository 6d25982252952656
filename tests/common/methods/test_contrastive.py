"""Contrastive, step by step against the formulas."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.engines import ContrastiveTrainer, PhaseOptimizers
from common.losses import InfoNCE
from common.methods import Contrastive, Supervised, cross_entropy
from common.networks import EmbeddingEncoder, ImageClassifier, Projector
from tests.oracles import contrastive as oracle
from tests.tiny import FEATURES, RATES, SIDE, Gap, Linear, Matrix, batch, one_batch

TEMPERATURE = 0.4
LOSS_WEIGHT, REGULARIZER_WEIGHT = 0.7, 3.0


class Record(nn.Module):
    """A loss that keeps what it was given."""

    targets = ("y",)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        self.z, self.y = z.detach(), y
        return z.square().sum()


class Turns(nn.Module):
    """A policy whose first call gives 1, its second 2, ..."""

    calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x.new_full((len(x), 1), self.calls)


class Scale(nn.Module):
    """A transformation: ``x / lam``."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        return x / lam.reshape(-1, *[1] * (x.dim() - 1))


def content(count: int = 6) -> dict[str, Tensor]:
    return {**batch(count), "site": torch.arange(count) // 2 % 2, "age": 20.0 + torch.arange(count)}


def contrastive(projector: nn.Module | None = None, **settings: Any) -> Contrastive:
    """`Contrastive` in float64 out of single matrices, the same on every call."""
    torch.manual_seed(0)
    classifier = ImageClassifier(Matrix(SIDE**2, FEATURES, "tanh"), FEATURES, num_classes=2)
    projector = projector or Linear(FEATURES, 4)
    chosen = {"loss": InfoNCE(TEMPERATURE), "columns": {"bias": "site", "y": "age"}, **settings}
    return Contrastive(classifier, projector, **chosen).double()


def weights(method: Contrastive) -> dict[str, Tensor]:
    """The matrices by their names in the oracle."""
    head = method.classifier.head
    encoder, projector = method.classifier.encoder, method.projector
    named = {"F": encoder.weight, "G": projector.weight, "P": head.weight.T, "b": head.bias}
    return {name: value.detach().clone() for name, value in named.items()}


@pytest.mark.parametrize("views", [2, 3])
def test_one_step_is_the_written_out_step(views: int) -> None:
    method = contrastive(
        policy=Turns(), transform=Scale(), views=views, loss_weight=LOSS_WEIGHT,
        regularizer=Gap(), regularizer_weight=REGULARIZER_WEIGHT, head_loss=cross_entropy,
    )  # fmt: skip
    x = content()
    observed = [x["image"] / (1 + view) for view in range(views)]
    before, both = weights(method), (LOSS_WEIGHT, REGULARIZER_WEIGHT)
    expected = oracle.step(observed, x["label"], x["site"], before, both, RATES, TEMPERATURE)
    assert all((expected[name] - before[name]).abs().max() > 1e-6 for name in before)
    one_batch(method, x)
    torch.testing.assert_close(weights(method), expected, rtol=0, atol=1e-10)


def test_the_terms_are_logged_without_their_weights() -> None:
    method = contrastive(
        regularizer=Gap(), loss_weight=LOSS_WEIGHT, regularizer_weight=REGULARIZER_WEIGHT
    )
    (phase,) = method.steps(content())
    assert set(phase.terms) == {"contrastive", "regularizer"}
    total = (
        LOSS_WEIGHT * phase.terms["contrastive"] + REGULARIZER_WEIGHT * phase.terms["regularizer"]
    )
    assert phase.terms["regularizer"] > 0
    torch.testing.assert_close(phase.loss.detach(), total, rtol=0, atol=1e-12)


def test_the_engine_logs_the_loss_of_the_encoder_beside_that_of_the_head() -> None:
    output = one_batch(contrastive(head_loss=cross_entropy), content()).state.output[0]
    assert set(output) == {"loss", "encoder/loss", "encoder/contrastive", "head/loss"}
    assert output["loss"] == output["encoder/loss"] != output["head/loss"]


def test_the_encoder_sees_all_views_in_one_pass() -> None:
    method, shapes = contrastive(policy=Turns(), transform=Scale(), views=3), []
    method.classifier.encoder.register_forward_pre_hook(lambda _, x: shapes.append(x[0].shape))
    list(method.steps(content()))
    assert shapes == [(3 * 6, 1, SIDE, SIDE)]


def test_the_loss_reads_subjects_first_views_second_and_the_columns_it_names() -> None:
    method = contrastive(policy=Turns(), transform=Scale(), loss=Record(), views=2)
    x = content()
    list(method.steps(x))
    for view in range(2):
        z = method.projector(method.classifier.encode(x["image"] / (1 + view)))
        torch.testing.assert_close(method.loss.z[:, view], z.detach(), rtol=0, atol=1e-12)
    assert method.loss.y is x["age"]


def test_without_a_transform_a_random_network_still_sees_every_view() -> None:
    method = contrastive(nn.Sequential(nn.Dropout(0.5), Linear(FEATURES, 4)), loss=Record())
    list(method.train().steps(content()))
    assert (method.loss.z[:, 0] - method.loss.z[:, 1]).abs().max() > 1e-3
    list(method.eval().steps(content()))
    assert torch.equal(method.loss.z[:, 0], method.loss.z[:, 1])


def test_the_head_learns_beside_an_encoder_that_it_does_not_move() -> None:
    method = contrastive(loss_weight=0, head_loss=cross_entropy)
    before = weights(method)
    one_batch(method, content())
    after = weights(method)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"P", "b"}


def test_without_a_head_loss_the_head_is_left_alone_even_by_weight_decay() -> None:
    method = contrastive()
    before = weights(method)
    decaying = partial(torch.optim.SGD, weight_decay=0.1)
    optimizers = PhaseOptimizers(method, RATES, optimizer=decaying)
    ContrastiveTrainer("cpu", 1, [content()], method, optimizers).run()
    after = weights(method)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"F", "G"}


def test_phases_share_no_parameter_and_cover_all() -> None:
    phases = contrastive(head_loss=cross_entropy).phase_parameters()
    every = [id(p) for parameters in phases.values() for p in parameters]
    assert {name: len(parameters) for name, parameters in phases.items()} == {
        "encoder": 2,
        "head": 2,
    }
    assert len(set(every)) == 4


def test_a_frozen_encoder_leaves_a_head_alone_to_train() -> None:
    method = contrastive(head_loss=cross_entropy)
    for part in (method.classifier.encoder, method.projector):
        part.requires_grad_(False)
    assert list(method.phase_parameters()) == ["head"]
    before = weights(method)
    one_batch(method, content())
    assert torch.equal(weights(method)["F"], before["F"])
    assert not torch.equal(weights(method)["P"], before["P"])


def test_rows_of_a_table_train_and_the_embedding_is_what_the_head_reads() -> None:
    torch.manual_seed(0)
    embedding = EmbeddingEncoder(Projector(7, 6, 5), Projector(5, 5, 3))
    classifier = ImageClassifier(embedding, embedding.out_features, num_classes=2)
    method = Contrastive(classifier, loss=Record(), views=1, head_loss=cross_entropy)
    x = {"image": torch.randn(6, 7), "label": torch.tensor([0, 1, -1] * 2), "y": torch.rand(6)}
    before = embedding.encoder.layers[0].weight.detach().clone()
    list(method.steps(x))
    assert torch.equal(method.loss.z[:, 0], embedding(x["image"]).detach())
    assert torch.allclose(method.loss.z.norm(dim=2), torch.ones(6, 1))
    one_batch(Contrastive(classifier, loss=InfoNCE(0.2), head_loss=cross_entropy), x)
    assert not torch.equal(embedding.encoder.layers[0].weight, before)


def test_half_precision_trains_float32_weights() -> None:
    method = contrastive(Projector(FEATURES, 6, 4), regularizer=Gap(), head_loss=cross_entropy)
    x = {
        key: value.float() if value.is_floating_point() else value
        for key, value in content().items()
    }
    engine = one_batch(method.float(), x, amp=True)
    assert all(torch.isfinite(p).all() for p in method.parameters())
    assert {p.dtype for p in method.parameters()} == {torch.float32}
    assert set(engine.state.output[0]) >= {"head/loss", "encoder/regularizer"}


def test_no_policy_and_no_transform_add_nothing_to_the_state() -> None:
    method, x = contrastive(), content()["image"]
    assert method.transformed(x) is x
    assert {name.split(".")[0] for name in method.state_dict()} == {"classifier", "projector"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"views": 0}, r"^Contrastive: views must be at least 1, got 0\."),
        ({"regularizer_weight": -1.0}, r"must be at least 0 and finite, got 1\.0 and -1\.0\."),
        ({"policy": Turns()}, r"both be given or both be None, got Turns and NoneType\."),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        contrastive(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"loss": Record(), "columns": {"y": "years"}},
            r"^Record: .* hold 'years' \(read as 'y'\)",
        ),
        ({"regularizer": Gap(), "columns": None}, r"^Gap: .* hold 'bias' .* got age, image, label"),
        ({"head_loss": cross_entropy, "head_target": "sex"}, r"^Contrastive: .* hold 'sex', which"),
    ],
    ids=["loss", "regularizer", "head"],
)
def test_a_column_the_batch_lacks_is_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(contrastive(**settings).steps(content()))


def test_supervised_training_takes_the_same_regularizer() -> None:
    method = contrastive(regularizer=Gap())
    supervised = Supervised(
        method.classifier, loss=cross_entropy, regularizer=Gap(), regularizer_weight=2.0,
        columns={"bias": "site"},
    )  # fmt: skip
    x, w = content(), weights(method)
    h = oracle.encode(x["image"], w)
    expected = oracle.cross_entropy(h, x["label"], w), oracle.gap([h], x["site"])
    (phase,) = supervised.steps(x)
    torch.testing.assert_close(
        phase.loss.detach(), expected[0] + 2 * expected[1], rtol=0, atol=1e-12
    )
    assert set(phase.terms) == {"cross_entropy", "regularizer"}


def test_the_loss_of_the_head_has_no_gradient_in_the_encoder() -> None:
    method = contrastive(head_loss=cross_entropy)
    head = next(iter(method.steps(content())))
    inputs = [method.classifier.head.weight, method.classifier.encoder.weight]
    gradients = torch.autograd.grad(head.loss, inputs, allow_unused=True)
    assert head.name == "head"
    assert gradients[0].abs().max() > 0
    assert gradients[1] is None
