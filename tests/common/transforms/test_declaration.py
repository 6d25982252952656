"""What a transformation's own file says of it is all that a composition needs."""

import pytest
import torch
from torch import Tensor

from common.transforms import Composition
from common.transforms.declaration import DECLARED, Declaration


def darken(x: Tensor, lam: Tensor, *, most: float = 0.5) -> Tensor:
    return x * (1 - most * lam[:, :1, None, None])


def test_a_declared_function_is_composed_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DECLARED, "darken", Declaration(darken, "axes", False, ("0", "{most:g}")))
    composition = Composition(["darken"], settings={"darken": {"most": 1.0}})
    x = torch.rand(2, 1, 3, 3)
    assert composition.names == ("darken_0", "darken_1")
    torch.testing.assert_close(composition(x, torch.full((2, 2), 0.25)), x * 0.75)
    assert torch.equal(composition.geometric(x, torch.ones(2, 2)), x)
    assert DECLARED["darken"].units({"most": 0.25}) == ("0", "0.25")


@pytest.mark.parametrize("name", sorted(DECLARED))
@pytest.mark.parametrize("axes", [2, 3])
def test_every_declaration_gives_a_size_and_two_units(name: str, axes: int) -> None:
    assert DECLARED[name].n_parameters(axes, {}) >= 1
    assert all("{" not in end and end for end in DECLARED[name].units({}))


def test_the_units_are_those_of_the_settings() -> None:
    assert DECLARED["blur"].units({}) == ("0 px", "2 px")
    assert DECLARED["blur"].units({"min_sigma": 0.1, "max_sigma": 1.0}) == ("0.1 px", "1 px")
