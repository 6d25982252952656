"""The losses of predictions: means over what is labelled."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.methods import Supervised, absolute_error, classification_loss, cross_entropy
from common.networks import ImageClassifier, Projector
from tests.tiny import one_batch

NAN = float("nan")


def rows(count: int, outputs: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, outputs, dtype=torch.double, generator=generator, requires_grad=True)


def test_cross_entropy_is_the_mean_of_minus_log_softmax_of_the_labelled() -> None:
    logits, label = rows(4, 3), [2, -1, 0, -1]
    expected = 0.0
    for row, y in zip(logits.tolist(), label):
        if y >= 0:
            expected -= math.log(math.exp(row[y]) / sum(math.exp(value) for value in row)) / 2
    loss = cross_entropy(logits, torch.tensor(label))
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_absolute_error_is_the_mean_over_the_known_ages() -> None:
    prediction = torch.tensor([[61.5], [20.0], [30.0]], dtype=torch.double)
    age = torch.tensor([60.0, NAN, 34.0], dtype=torch.double)
    assert absolute_error(prediction, age).item() == (1.5 + 4) / 2


def test_ages_keep_their_precision_in_half_precision() -> None:
    prediction = torch.tensor([[60.0]], dtype=torch.bfloat16)
    loss = absolute_error(prediction, torch.tensor([60.3]))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0.3, abs=1e-5)


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (cross_entropy, torch.tensor([1, -1, -1])),
        (classification_loss, torch.tensor([[1, 0], [-1, -1], [-1, -1]])),
        (absolute_error, torch.tensor([[30.0, 40.0], [NAN, NAN], [NAN, NAN]])),
    ],
    ids=["cross entropy", "binary", "absolute error"],
)
def test_what_is_not_labelled_has_no_gradient_and_alone_no_loss(loss, target: Tensor) -> None:
    prediction = rows(3, 2)
    loss(prediction, target).backward()
    assert prediction.grad is not None
    assert prediction.grad[0].abs().min() > 0
    assert torch.count_nonzero(prediction.grad[1:]) == 0
    assert loss(prediction[1:], target[1:]) == 0


@pytest.mark.parametrize(
    ("loss", "outputs", "target", "message"),
    [
        (cross_entropy, 1, torch.zeros(2), r"^cross_entropy: .* at least 2 classes, got 1\. Set"),
        (
            absolute_error,
            3,
            torch.zeros(2),
            r"^absolute_error: target must have shape \(2, 3\), got",
        ),
    ],
)
def test_a_wrong_number_of_outputs_is_told_in_one_line(
    loss, outputs: int, target: Tensor, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        loss(rows(2, outputs), target)


def test_supervised_learns_ages_from_a_table() -> None:
    torch.manual_seed(0)
    method = Supervised(
        ImageClassifier(Projector(4, 6, 5), 5), loss=absolute_error, target="age"
    ).double()
    x = {"image": rows(3, 4).detach(), "age": torch.tensor([30.0, NAN, 50.0])}
    expected = (method(x["image"])[[0, 2], 0] - torch.tensor([30, 50])).abs().mean()
    (phase,) = method.steps(x)
    torch.testing.assert_close(phase.loss, expected, rtol=0, atol=1e-12)
    assert set(one_batch(method, x).state.output[0]) == {
        "loss",
        "encoder/loss",
        "encoder/absolute_error",
    }


def test_supervised_names_the_column_the_batch_lacks() -> None:
    method = Supervised(ImageClassifier(Projector(4, 6, 5), 5), target="age")
    with pytest.raises(
        InputError, match=r"^Supervised: the batch must hold 'age', got image\. Add"
    ):
        list(method.steps({"image": torch.zeros(2, 4)}))


def test_a_positive_weight_is_that_of_the_terms_of_cases() -> None:
    logits = torch.tensor([[0.3], [-1.2], [2.0]], dtype=torch.float64)
    label = torch.tensor([1, 0, -1])
    case, control = math.log(1 + math.exp(-0.3)), math.log(1 + math.exp(-1.2))
    loss = classification_loss(logits, label, positive_weight=1.584)
    assert loss.item() == pytest.approx((1.584 * case + control) / 2, abs=1e-12)
    method = Supervised(
        ImageClassifier(nn.Flatten(), 2), loss=partial(classification_loss, positive_weight=2.0)
    )
    (phase,) = method.steps({"image": torch.randn(3, 2), "label": label})
    assert set(phase.terms) == {"transformed_bce"}


def test_several_targets_are_learned_an_output_each() -> None:
    torch.manual_seed(0)
    method = Supervised(ImageClassifier(Projector(4, 6, 5), 5, 2), target=("edema", "effusion"))
    batch = {"image": torch.rand(3, 4), "edema": torch.tensor([1, -1, 0])}
    batch["effusion"] = torch.tensor([0, 1, -1])
    (phase,) = method.steps(batch)
    label = torch.stack([batch["edema"], batch["effusion"]], dim=1)
    expected = classification_loss(method.classifier(batch["image"]), label)
    assert phase.loss.item() == pytest.approx(expected.item())
    assert method.needs() == ("edema", "effusion")
