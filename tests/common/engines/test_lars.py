"""LARS against its loops."""

import copy

import pytest
import torch
from torch import nn

from common.checks import InputError
from common.engines import LARS
from tests.oracles import momentum_encoders as oracle

SETTINGS = {"lr": 0.5, "momentum": 0.8, "weight_decay": 0.01, "trust_coefficient": 0.02}


def stepped(parameter: nn.Parameter, gradients: list[torch.Tensor]) -> list[float]:
    optimizer = LARS([parameter], **SETTINGS)
    for gradient in gradients:
        parameter.grad = gradient
        optimizer.step()
    values: list[float] = parameter.detach().flatten().tolist()
    return values


@pytest.mark.parametrize("case", ["usual", "zero weight", "zero gradient"])
@pytest.mark.parametrize("shape", [(3, 2), (2, 1, 3)], ids=str)
def test_three_steps_of_a_matrix_equal_their_loops(shape: tuple[int, ...], case: str) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator, dtype=torch.double) * (case != "zero weight")
    gradients = [torch.randn(shape, generator=generator, dtype=torch.double) for _ in range(3)]
    gradients[1] *= case != "zero gradient"
    rows = [gradient.flatten().tolist() for gradient in gradients]
    expected = oracle.lars(weight.flatten().tolist(), rows, *SETTINGS.values())
    assert stepped(nn.Parameter(weight), gradients) == pytest.approx(expected, abs=1e-14)


def test_a_bias_is_neither_adapted_nor_decayed() -> None:
    start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.double)
    gradients = [torch.tensor([0.1, 0.2, -0.3], dtype=torch.double) for _ in range(3)]
    plain = nn.Parameter(start.clone())
    sgd = torch.optim.SGD([plain], lr=SETTINGS["lr"], momentum=SETTINGS["momentum"])
    for gradient in gradients:
        plain.grad = gradient
        sgd.step()
    expected = plain.detach().tolist()
    assert stepped(nn.Parameter(start), gradients) == pytest.approx(expected, abs=1e-14)


def test_the_length_of_a_gradient_does_not_matter() -> None:
    torch.manual_seed(0)
    weight, gradient = torch.randn(4, 4).double(), torch.randn(4, 4).double()
    moved = []
    for scale in (1.0, 1e6):
        parameter = nn.Parameter(weight.clone())
        parameter.grad = gradient * scale
        LARS([parameter], lr=1.0).step()
        moved.append(parameter.detach())
    torch.testing.assert_close(moved[0], moved[1], rtol=0, atol=1e-12)
    assert float((moved[0] - weight).norm() / weight.norm()) == pytest.approx(0.001)


def test_a_restored_state_goes_on_to_the_bit_and_unused_parameters_stay() -> None:
    torch.manual_seed(0)
    network, unused = nn.Linear(3, 2), nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([*network.parameters(), unused], **SETTINGS)

    def step() -> float:
        optimizer.zero_grad()
        loss = network(torch.ones(1, 3)).square().sum()
        loss.backward()
        return float(loss.detach())

    before = step()
    assert optimizer.step(step) == before
    assert step() < before
    state = copy.deepcopy((network.state_dict(), optimizer.state_dict()))
    optimizer.step()
    after = copy.deepcopy(network.state_dict())
    network.load_state_dict(state[0])
    optimizer.load_state_dict(state[1])
    step()
    optimizer.step()
    torch.testing.assert_close(network.state_dict(), after, rtol=0, atol=0)
    assert torch.equal(unused.detach(), torch.ones(2, 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": -1.0}, r"^LARS: lr and weight_decay must be at least 0"),
        (
            {"lr": 1.0, "trust_coefficient": 0},
            r"trust_coefficient above 0, finite, got 1.0, 0.0 and 0",
        ),
        ({"lr": 1.0, "momentum": 1.0}, r"^LARS: momentum must be in \[0, 1\), got 1\.0\.$"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(settings: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LARS([nn.Parameter(torch.ones(2))], **settings)
