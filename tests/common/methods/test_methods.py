"""The methods, step by step against the formulas."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.engines import ContrastiveTrainer
from common.losses import DecoupledInfoNCE
from common.methods import LearnedTransforms, Method, OneViewSimCLR, Supervised, classification_loss
from common.networks import ImageClassifier
from common.policies import Uniform
from common.transforms import Composition
from tests.oracles import learned_transforms as oracle
from tests.tiny import (
    DETERMINISTIC,
    FEATURES,
    RATES,
    SIDE,
    Matrix,
    batch,
    conv_method,
    matrix_method,
    one_batch,
)

ALPHA = (0.7, 3.0, 1.3, 0.9, 1.1)
WITHOUT_LABELS = (0.7, 0.0, 1.3, 0.0, 1.1)  # for M


def weights(method: LearnedTransforms) -> dict[str, Tensor]:
    """The matrices by their names in the oracle."""
    head = method.classifier.head
    named = {
        "F": method.classifier.encoder.weight,
        "G": method.projector.weight,
        "P": head.weight.T,
        "b": head.bias,
        "M": method.policy.weight,
    }
    return {name: value.detach().clone() for name, value in named.items()}


def steps(method: Method, content: dict[str, Tensor]) -> list[Any]:
    return list(method.steps(content))


def changed(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("alpha", [ALPHA, WITHOUT_LABELS], ids=["labels", "without"])
@pytest.mark.parametrize("update", ["alternate", "shared"])
def test_one_step_is_the_step_of_equation_1(update: str, alpha: tuple[float, ...]) -> None:
    method, content = matrix_method(alpha=alpha, update=update), batch()
    expected = oracle.step(
        content["image"], content["label"], weights(method), method.transform, alpha, RATES, update
    )
    assert changed(weights(method), expected) == {"F", "G", "P", "b", "M"}
    one_batch(method, content)
    torch.testing.assert_close(weights(method), expected, rtol=0, atol=1e-10)


def test_alternate_and_shared_differ_only_in_the_images_the_encoder_sees() -> None:
    after = {}
    for update in ("alternate", "shared"):
        method = matrix_method(alpha=ALPHA, update=update)
        one_batch(method, batch())
        after[update] = weights(method)
    assert torch.allclose(after["alternate"]["M"], after["shared"]["M"], rtol=0, atol=1e-12)
    assert (after["alternate"]["F"] - after["shared"]["F"]).abs().max() > 1e-6


@pytest.mark.parametrize(
    ("update", "alpha", "passes"),
    [
        ("alternate", WITHOUT_LABELS, 3),
        ("shared", ALPHA, 3),
        ("shared", WITHOUT_LABELS, 2),
    ],
)
def test_backward_passes_of_the_encoder(update: str, alpha: tuple[float, ...], passes: int) -> None:
    method, observed = matrix_method(alpha=alpha, update=update), []
    forward = method.classifier.encoder.forward

    def watched(x: Tensor) -> Tensor:
        h: Tensor = forward(x)
        h.register_hook(lambda _: observed.append(1))
        return h

    method.classifier.encoder.forward = watched
    one_batch(method, batch())
    assert len(observed) == passes


def test_one_backward_pass_gives_m_its_gradient_through_batch_normalisation() -> None:
    torch.manual_seed(0)
    method, slopes = conv_method(update="shared", alpha=WITHOUT_LABELS).double(), []
    chosen = method.phase_parameters()["policy"]
    for alpha in (WITHOUT_LABELS, (0.7, 0.0, 1.3, 1e-30, 1.1)):  # 1e-30 asks for two passes
        method.alpha = alpha
        torch.manual_seed(3)
        policy, encoder = steps(method, batch())
        loss = encoder.loss if alpha is WITHOUT_LABELS else policy.loss
        slopes.append(torch.autograd.grad(loss, chosen))
        wanted = -0.7 * policy.terms["contrastive"]
        torch.testing.assert_close(policy.loss.detach(), wanted, rtol=0, atol=1e-12)
    assert max(slope.abs().max() for slope in slopes[0]) > 1e-6
    torch.testing.assert_close(slopes[0], slopes[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "moved"),
    [((1, 10, 0, 0, 0), {"M"}), ((0, 0, 1, 1, 1), {"F", "G", "P", "b"})],
    ids=["M's step", "the encoder's step"],
)
@pytest.mark.parametrize("update", ["alternate", "shared"])
def test_a_step_updates_only_its_own_networks(update: str, alpha: Any, moved: set[str]) -> None:
    method = matrix_method(alpha=alpha, update=update)
    before = weights(method)
    one_batch(method, batch())
    assert changed(before, weights(method)) == moved


def test_unlabelled_images_add_nothing_to_the_cross_entropy() -> None:
    method, content = matrix_method(alpha=(0, 1, 0, 1, 1)), batch(6)
    labelled = content["label"] >= 0
    assert labelled.tolist() == [True, True, False] * 2
    only = {key: value[labelled] for key, value in content.items()}
    for mixed, alone in zip(steps(method, content), steps(method, only)):
        assert alone.loss > 0
        torch.testing.assert_close(mixed.loss, alone.loss, rtol=0, atol=1e-12)


def test_a_batch_without_labels_has_cross_entropy_0_and_leaves_the_head_alone() -> None:
    method = matrix_method()
    content = {**batch(), "label": torch.full((6,), -1)}
    for phase in steps(method, content):
        assert phase.terms["transformed_bce"] == 0
    before = weights(method)
    one_batch(method, content)
    assert changed(before, weights(method)) == {"F", "G", "M"}


def test_the_cross_entropy_of_several_classes_ignores_single_missing_labels() -> None:
    logits = torch.tensor([[0.0, 5.0], [0.0, -5.0]], dtype=torch.double)
    label = torch.tensor([[1, -1], [0, -1]])
    loss = classification_loss(logits, label)
    assert loss == pytest.approx(torch.log(torch.tensor(2.0, dtype=torch.double)).item())


def test_m_takes_its_turn_every_second_step() -> None:
    method = matrix_method(policy_every=2)
    names = [[phase.name for phase in steps(method, batch())] for _ in range(4)]
    assert names == [["policy", "encoder"], ["encoder"]] * 2


def test_m_waits_while_f_warms_up() -> None:
    method = matrix_method(policy_every=2, policy_warmup=3)
    turns = [len(list(steps(method, batch()))) == 2 for _ in range(7)]
    assert turns == [False, False, False, True, False, True, False]


def test_m_keeps_its_turns_through_a_state_dict() -> None:
    method, restored = matrix_method(policy_every=2), matrix_method(policy_every=2)
    steps(method, batch())
    restored.load_state_dict(method.state_dict())
    assert [phase.name for phase in steps(restored, batch())] == ["encoder"]


def test_random_transformations_have_no_policy_phase() -> None:
    method = matrix_method()
    method.policy = Uniform(method.transform.n_parameters)
    assert list(method.phase_parameters()) == ["encoder"]
    assert [phase.name for phase in steps(method, batch())] == ["encoder"]


def test_phases_share_no_parameter_and_cover_all() -> None:
    method = conv_method()
    phases = method.phase_parameters()
    counts = [len(parameters) for parameters in phases.values()]
    every = {id(p) for parameters in phases.values() for p in parameters}
    assert list(phases) == ["policy", "encoder"]
    assert sum(counts) == len(every) == len(list(method.parameters()))


class Black(nn.Module):
    """A transformation that leaves nothing."""

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        return torch.zeros_like(x)


class Record(nn.Module):
    """A loss that keeps what it was given."""

    def forward(self, z: Tensor) -> Tensor:
        self.z = z.detach()
        return z.sum()


def test_simclr_transforms_one_view_only() -> None:
    classifier = ImageClassifier(Matrix(SIDE**2, FEATURES, "tanh"), FEATURES)
    loss = Record()
    x = batch(dtype=torch.float32)["image"]
    method = OneViewSimCLR(classifier, nn.Identity(), Uniform(1), Black(), loss)
    assert [phase.name for phase in steps(method, {"image": x})] == ["encoder"]
    assert torch.count_nonzero(loss.z[:, 0]) == 0
    assert torch.equal(loss.z[:, 1], classifier.encode(x))


def test_simclr_never_trains_the_classification_head() -> None:
    torch.manual_seed(0)
    method = conv_method("simclr")
    before = method.classifier.head.weight.detach().clone()
    engine = one_batch(method, batch(dtype=torch.float32))
    assert torch.equal(method.classifier.head.weight, before)
    assert set(engine.state.output[0]) == {"loss", "encoder/loss", "encoder/contrastive"}


def test_supervised_is_the_cross_entropy_of_transformed_images() -> None:
    torch.manual_seed(0)
    transform = Composition(DETERMINISTIC)
    classifier = ImageClassifier(Matrix(SIDE**2, FEATURES, "tanh"), FEATURES)
    policy = Matrix(SIDE**2, transform.n_parameters, "sigmoid")
    method = Supervised(classifier, policy.requires_grad_(False), transform).double()
    content = batch()
    w = {"F": classifier.encoder.weight, "P": classifier.head.weight.T, "b": classifier.head.bias}
    moved = oracle.encode(transform(content["image"], policy(content["image"])), w)
    (phase,) = steps(method, content)
    expected = oracle.cross_entropy(moved, content["label"], w)
    torch.testing.assert_close(phase.loss, expected, rtol=0, atol=1e-12)


def test_a_method_predicts_as_its_classifier_does() -> None:
    method, x = conv_method("supervised").eval(), batch(dtype=torch.float32)["image"]
    assert torch.equal(method(x), method.classifier(x))
    assert method(x).shape == (6, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": (1, 1, 1)}, r"alpha must be five finite weights >= 0, got \(1, 1, 1\)\."),
        ({"alpha": (1, 1, 1, 1, -1)}, r"alpha must be five finite weights >= 0"),
        ({"update": "both"}, r"update must be 'alternate' or 'shared', got 'both'\."),
        ({"policy_every": 0}, r"policy_every must be at least 1, got 0\."),
        ({"policy_warmup": -1}, r"policy_warmup must be 0 or more steps, got -1\."),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=rf"^LearnedTransforms: {message}"):
        matrix_method(**settings)


def test_the_loss_compares_transformed_with_untransformed_images() -> None:
    method, content = matrix_method(alpha=(1, 0, 1, 0, 0)), batch()
    w, x = weights(method), content["image"]
    moved = oracle.encode(method.transform(x, oracle.choose(x, w)), w)
    expected = oracle.contrast(moved, oracle.encode(x, w), w, DecoupledInfoNCE().temperature)
    policy, encoder = steps(method, content)
    torch.testing.assert_close(policy.loss.detach(), -expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(encoder.loss.detach(), expected, rtol=0, atol=1e-12)


def test_the_engine_reports_every_term_of_every_phase() -> None:
    engine: ContrastiveTrainer = one_batch(matrix_method(), batch())
    output = engine.state.output[0]
    assert output["loss"] == output["encoder/loss"]
    assert set(output) == {
        "loss",
        *(f"policy/{name}" for name in ("loss", "contrastive", "transformed_bce")),
        *(
            f"encoder/{name}"
            for name in ("loss", "contrastive", "transformed_bce", "untransformed_bce")
        ),
    }
