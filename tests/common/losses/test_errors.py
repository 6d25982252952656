"""What the losses refuse, in one line with the cure."""

import math

import pytest
import torch
from torch import nn

from common.checks import InputError
from common.kernels import Gaussian
from common.losses import (
    DecoupledInfoNCE,
    DecoupledUniformity,
    EnD,
    FairKL,
    InfoNCE,
    KernelContrastive,
    SupCon,
    SupInfoNCE,
)
from tests.common.losses import loss_cases
from tests.common.losses.loss_cases import targets, views

EVERY = pytest.mark.parametrize("loss", loss_cases.EVERY.values(), ids=loss_cases.EVERY)


@EVERY
@pytest.mark.parametrize("shape", [(6, 5), (6, 0, 5), (1, 1, 5)], ids=str)
def test_a_wrong_shape_is_told_in_one_line(loss: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=rf"^{type(loss).__name__}: z must .*, got .*\.$") as error:
        loss(torch.ones(shape), **targets(loss, shape[0]))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "loss",
    [InfoNCE(0.5), DecoupledInfoNCE(), DecoupledUniformity()],
    ids=["info", "decoupled", "uniformity"],
)
def test_views_that_a_loss_cannot_do_with_are_refused(loss: nn.Module) -> None:
    with pytest.raises(InputError, match=r"z must be floating \(B, .*2.*got .* \(6, 1, 5\)\.$"):
        loss(torch.ones(6, 1, 5))


def test_one_subject_is_told_the_cure() -> None:
    for loss in (InfoNCE(0.5), DecoupledUniformity()):
        with pytest.raises(InputError, match=r"at least 2 subjects, got 1\. Use a larger batch"):
            loss(torch.ones(1, 2, 5))


@EVERY
def test_integers_are_refused(loss: nn.Module) -> None:
    with pytest.raises(InputError, match="must be floating"):
        loss(torch.ones(3, 2, 5, dtype=torch.long), **targets(loss, 3))


@pytest.mark.parametrize("temperature", [0.0, -1.0, 0.001, math.inf, math.nan])
def test_a_senseless_temperature_is_refused(temperature: float) -> None:
    for loss in (InfoNCE, DecoupledInfoNCE, SupInfoNCE, SupCon):
        with pytest.raises(InputError, match=f"^{loss.__name__}: temperature must be"):
            loss(temperature)
    with pytest.raises(InputError, match=r"^KernelContrastive: temperature must be"):
        KernelContrastive(Gaussian(5.0), temperature)


@pytest.mark.parametrize("epsilon", [-0.1, math.inf, math.nan])
def test_a_senseless_margin_is_refused(epsilon: float) -> None:
    for loss in (InfoNCE, SupInfoNCE, SupCon):
        with pytest.raises(InputError, match=rf"^{loss.__name__}: epsilon must be"):
            loss(0.5, epsilon)


@EVERY
@pytest.mark.parametrize("wrong", ["length", "type", "missing"])
def test_targets_that_do_not_fit_are_told_in_one_line(loss: nn.Module, wrong: str) -> None:
    columns = targets(loss, 6)
    if not columns:
        pytest.skip("reads z alone")
    name = list(columns)[-1]
    if wrong == "length":
        columns[name] = columns[name][:5]
    elif wrong == "type":
        columns[name] = columns[name] * (1j if name in ("y", "prior") else 0.5)
    else:
        columns[name][2] = math.nan if name in ("y", "prior") else -1
    with pytest.raises(
        InputError, match=rf"^{type(loss).__name__}: {name} must be .*, got "
    ) as error:
        loss(views(), **columns)
    assert "\n" not in str(error.value)


def test_a_missing_age_and_a_missing_label_are_told_the_cure() -> None:
    with pytest.raises(InputError, match=r"got 1 NaN or infinite\. Drop the subjects without it"):
        KernelContrastive(Gaussian(5.0), 0.1)(views(2), torch.tensor([20.0, math.nan]))
    with pytest.raises(InputError, match=r"got -1\. Drop the subjects without a label"):
        SupCon(0.1)(views(2), torch.tensor([0, -1]))


@pytest.mark.parametrize("kind", ["all", "threshold", "exponential"])
def test_a_kernel_above_1_is_refused(kind: str) -> None:
    loss = KernelContrastive(lambda a, b: 2 * Gaussian(5.0)(a, b), 0.1, kind)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"kernel must be at most 1, got 2.0\. Divide"):
        loss(views(), torch.arange(6.0))


def test_settings_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match=r'^SupInfoNCE: form must be "out" or "in", got \'on\''):
        SupInfoNCE(0.1, form="on")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^KernelContrastive: repulsion must be"):
        KernelContrastive(Gaussian(5.0), 0.1, "none")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^KernelContrastive: variant must be"):
        KernelContrastive(Gaussian(5.0), 0.1, variant="code")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^FairKL: statistic must be"):
        FairKL("angle")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^FairKL: variant must be"):
        FairKL(variant="code")  # type: ignore[arg-type]


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match=r'kld must be 1 with variant "paper".*got 2.0\. Use'):
        FairKL(kld=2.0)
    with pytest.raises(InputError, match=r"^FairKL: kld must be at least 0"):
        FairKL(variant="moments", kld=-1.0)
    with pytest.raises(InputError, match=r"^FairKL: variance_floor must be above 0"):
        FairKL(variance_floor=0.0)
    with pytest.raises(InputError, match=r"^EnD: beta must be at least 0"):
        EnD(beta=math.inf)
    with pytest.raises(InputError, match=r"^SupCon: epsilon must be from 0 to 20, got 21"):
        SupCon(0.1, 21)
