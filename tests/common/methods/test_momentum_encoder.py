"""The momentum encoder of a network."""

import pytest
import torch
from torch import nn

from common.checks import InputError
from common.methods import MomentumEncoder


def test_copy_moves_by_its_share_and_is_not_trained() -> None:
    fast = nn.Linear(2, 1).double()
    slow = MomentumEncoder(fast)
    before = fast.weight.detach().clone()
    with torch.no_grad():
        fast.weight.add_(1.0)
    slow.follow(fast, 0.75)
    torch.testing.assert_close(slow.module.weight, before + 0.25, rtol=0, atol=1e-12)
    assert not any(p.requires_grad for p in slow.parameters())
    assert not slow(torch.ones(1, 2).double()).requires_grad


def test_momentum_outside_its_range_is_refused() -> None:
    fast = nn.Linear(2, 1)
    with pytest.raises(InputError, match=r"momentum must be between 0 and 1, got 1\.5"):
        MomentumEncoder(fast).follow(fast, 1.5)
