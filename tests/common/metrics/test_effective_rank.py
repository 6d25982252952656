"""Effective rank of representations."""

import math

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.metrics import effective_rank


def test_the_rank_is_the_exponential_of_the_entropy_of_the_singular_values() -> None:
    rows = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # 3 to 1
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(rows + 7) == pytest.approx(expected, abs=1e-8)


def test_a_collapsed_representation_has_a_small_rank() -> None:
    assert effective_rank(torch.full((5, 3), 0.3)) == 0
    line = torch.linspace(0, 1, 9)[:, None] * torch.tensor([[1.0, 2.0, 3.0]])
    assert effective_rank(line) == pytest.approx(1, abs=1e-4)


@pytest.mark.bad_input("metrics")
def test_a_single_row_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^effective_rank: h must be \(N >= 2, D\), got \(1, 3\)"):
        effective_rank(np.ones((1, 3)))
