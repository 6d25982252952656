"""Iterative normalisation against whitening by eigenvectors."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from common.checks import InputError
from common.networks import IterNorm, Projector
from tests.oracles import whitening as oracle


def rows(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixed = torch.randn(6, 6, generator=generator, dtype=torch.double)
    return torch.randn(20, 6, generator=generator, dtype=torch.double) @ mixed + 3


def test_many_rounds_whiten_each_group_as_its_eigenvectors_do() -> None:
    white = IterNorm(6, groups=2, rounds=40).double()(rows()).detach().numpy()
    for half in (slice(0, 3), slice(3, 6)):
        expected = oracle.zca(rows().numpy()[:, half], 1e-5)
        np.testing.assert_allclose(white[:, half], expected, atol=1e-10)


def test_five_rounds_are_the_written_out_rounds() -> None:
    white = IterNorm(6, groups=1).double()(rows()).detach().numpy()
    np.testing.assert_allclose(white, oracle.iterated(rows().numpy(), 1e-5, 5), atol=1e-12)


def test_gradients_go_through_the_statistics() -> None:
    x = rows().requires_grad_()
    assert torch.autograd.gradcheck(IterNorm(6, groups=2, momentum=0).double(), x)


def test_evaluation_uses_what_training_remembered() -> None:
    layer = IterNorm(6, groups=2, momentum=1).double()
    trained = layer(rows())
    torch.testing.assert_close(layer.eval()(rows()), trained)
    torch.testing.assert_close(layer(rows()[:1]), trained[:1])


def test_a_projector_ends_in_what_it_is_given() -> None:
    projector = Projector(6, 8, 4, layers=3, norm="BATCH", end=IterNorm(4, groups=1, rounds=30))
    z = projector(rows().float())
    torch.testing.assert_close(z.T @ z / len(z), torch.eye(4), atol=1e-2, rtol=0)
    assert [type(layer) for layer in projector.layers[-2:]] == [nn.Linear, IterNorm]


@pytest.mark.bad_input("learning")
def test_senseless_settings_are_told_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^IterNorm: groups must divide the 6 features, got 4"):
        IterNorm(6, groups=4)
    with pytest.raises(InputError, match=r"^IterNorm: rounds must be at least 1"):
        IterNorm(6, groups=2, rounds=0)
