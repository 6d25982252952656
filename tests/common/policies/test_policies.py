"""Policies: ranges, NaN, reproducibility, and what M sees."""

from collections.abc import Callable

import pytest
import torch
from monai.bundle import ConfigParser
from torch import Tensor, nn

from common.checks import InputError
from common.policies import EachWithProbability, TransformationNetwork, Uniform
from common.transforms import Composition


def images(batch: int = 4, side: int = 16, spatial: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 1, *[side] * spatial, generator=generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_uniform_covers_the_unit_interval_evenly() -> None:
    lam = Uniform()(torch.zeros(4000, 1, 1, 1), seeded())
    assert lam.shape == (4000, 7)
    assert 0 <= lam.min() < 0.01
    assert 0.99 < lam.max() <= 1
    torch.testing.assert_close(lam.mean(dim=0), torch.full((7,), 0.5), rtol=0, atol=0.02)


def test_each_transformation_is_applied_with_its_probability_and_whole() -> None:
    lam = EachWithProbability(0.3)(torch.zeros(4000, 1, 1, 1), seeded())
    applied = ~lam.isnan()
    torch.testing.assert_close(
        applied.double().mean(dim=0), torch.full((7,), 0.3).double(), rtol=0, atol=0.03
    )
    assert torch.equal(applied[:, 2], applied[:, 3])
    both = (applied[:, 0] & applied[:, 1]).double().mean().item()
    assert both == pytest.approx(0.09, abs=0.02)
    assert lam[applied].mean().item() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("probability", "share"), [(0, 1.0), (1, 0.0)])
def test_probability_zero_and_one_are_certain(probability: float, share: float) -> None:
    lam = EachWithProbability(probability)(images(), seeded())
    assert lam.isnan().float().mean() == share


@pytest.mark.parametrize("policy", [Uniform(), EachWithProbability()], ids=["uniform", "each"])
def test_a_generator_replays_the_draw_and_leaves_the_global_state(policy: nn.Module) -> None:
    state = torch.get_rng_state()
    first, again, other = (policy(images(), seeded(seed)).nan_to_num(-1) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)
    assert not list(policy.parameters())


def test_without_a_generator_the_global_seed_replays_the_draw() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        first = Uniform()(images())
        torch.manual_seed(2)
        assert torch.equal(first, Uniform()(images()))


@pytest.mark.parametrize(
    ("image", "parameter"),
    [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64,) * 2],
)
def test_parameters_are_drawn_in_float32_at_least(
    image: torch.dtype, parameter: torch.dtype
) -> None:
    assert Uniform()(images().to(image)).dtype == parameter
    assert EachWithProbability()(images().to(image)).dtype == parameter


@pytest.mark.parametrize("grid", [1, 3])
@pytest.mark.parametrize("spatial", [2, 3])
def test_the_network_answers_inside_the_unit_interval(spatial: int, grid: int) -> None:
    count = Composition(spatial_dims=spatial).n_parameters
    network = TransformationNetwork(spatial, n_parameters=count, grid=grid)
    lam = network(images(spatial=spatial))
    assert lam.shape == (4, count)
    assert 0 < lam.min() < lam.max() < 1


def test_the_network_is_two_blocks_of_one_convolution() -> None:
    network = TransformationNetwork()
    kinds = [type(layer) for layer in network.modules() if not list(layer.children())]
    block = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    assert kinds == [*block, *block, nn.AdaptiveAvgPool2d, nn.Linear]


def test_bounds_stretch_the_sigmoid_between_them() -> None:
    torch.manual_seed(0)
    x, free = torch.rand(5, 1, 8, 8), TransformationNetwork().eval()
    bounded = TransformationNetwork(bounds=(0.1, 0.7)).eval()
    bounded.load_state_dict(free.state_dict())
    torch.testing.assert_close(bounded(x), 0.1 + 0.6 * free(x))


@pytest.mark.parametrize(("grid", "sees"), [(1, False), (4, True)], ids=["global", "cells"])
def test_only_cells_tell_where_something_is(grid: int, sees: bool) -> None:
    network = TransformationNetwork(grid=grid).double().eval()
    x = torch.zeros(2, 1, 32, 32, dtype=torch.float64)
    x[0, 0, 9:12, 9:12] = x[1, 0, 21:24, 21:24] = 1  # the same square, 12 pixels further
    lam = network(x)
    assert torch.allclose(lam[0], lam[1], rtol=0, atol=1e-12) != sees


def test_the_network_learns_through_the_composition() -> None:
    network, composition, x = TransformationNetwork().double(), Composition(), images().double()
    composition(x, network(x), seeded()).square().sum().backward()
    gradients = [parameter.grad for parameter in network.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert network.head.weight.grad is not None
    assert (network.head.weight.grad.abs().sum(dim=1) > 0).all()


def test_policies_can_be_made_from_json() -> None:
    parser = ConfigParser(
        {"policy": {"_target_": "common.policies.EachWithProbability", "sizes": [1, 2]}}
    )
    assert parser.get_parsed_content("policy").n_parameters == 3


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Uniform(0), "Uniform: n_parameters must be positive, got 0."),
        (lambda: EachWithProbability(1.5), r"probability must be in \[0, 1\], got 1.5."),
        (lambda: EachWithProbability(sizes=[]), r"sizes must be positive counts, got \[\]."),
        (lambda: TransformationNetwork(4), "spatial_dims must be 2 or 3, got 4."),
        (lambda: TransformationNetwork(grid=0), "grid must be positive, got 0."),
        (
            lambda: TransformationNetwork(bounds=(0.9, 0.1)),
            r"bounds must be two rising numbers in \[0, 1\], got \[0.9, 0.1\].",
        ),
        (lambda: TransformationNetwork(n_parameters=0), "n_parameters must be positive, got 0."),
    ],
)
def test_bad_settings_are_told_in_one_line(make: Callable[[], nn.Module], text: str) -> None:
    with pytest.raises(InputError, match=text):
        make()
