"""Figures of pairs of views equal those of plain loops."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from common.audit.difficulty import Pairs, difficulty_of
from tests.oracles import pairs as oracle


def unit(seed: int, count: int = 5) -> NDArray[np.float64]:
    rows = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


FIRST, SECOND, PLAIN = unit(0), unit(0) * 0.8 + unit(1) * 0.6, unit(2)
SECOND = SECOND / np.linalg.norm(SECOND, axis=1, keepdims=True)
FOUND = difficulty_of(Pairs(FIRST, SECOND, PLAIN), 0.1)
POSITIVE = oracle.positives(FIRST.tolist(), SECOND.tolist())
NEGATIVE = oracle.negatives(FIRST.tolist(), SECOND.tolist())


def test_expected_info_nce_equals_the_loops() -> None:
    expected = oracle.info_nce(FIRST.tolist(), SECOND.tolist(), 0.1)
    assert FOUND.info_nce == pytest.approx(expected, abs=1e-6)


def test_alignment_and_uniformity_equal_the_loops() -> None:
    assert FOUND.alignment == pytest.approx(sum(d * d for d in POSITIVE) / len(POSITIVE))
    potential = sum(math.exp(-2 * d * d) for d in NEGATIVE) / len(NEGATIVE)
    assert FOUND.uniformity == pytest.approx(math.log(potential))


def test_the_share_of_negatives_nearer_than_the_positive_equals_the_loops() -> None:
    assert FOUND.nearer == pytest.approx(oracle.nearer(FIRST.tolist(), SECOND.tolist()))


def test_overlap_and_area_of_the_densities_equal_the_loops() -> None:
    assert FOUND.overlap == pytest.approx(oracle.overlap(POSITIVE, NEGATIVE, FOUND.edges))
    assert FOUND.area == pytest.approx(oracle.area(POSITIVE, NEGATIVE))
