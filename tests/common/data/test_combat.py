"""ComBat against its formulas, and what it does to sites that differ."""

import numpy as np
import pytest

from common.checks import InputError
from common.data import ComBat
from tests.oracles.combat import combat

SITE = np.array([0] * 9 + [1] * 7 + [2] * 8)


def brains(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    age = rng.uniform(20, 60, len(SITE))
    y = rng.normal(size=(len(SITE), 6)) * (1 + SITE[:, None]) + 3 * SITE[:, None]
    return y + 0.1 * age[:, None] * np.arange(6), age


def test_combat_equals_its_formulas_feature_by_feature() -> None:
    y, age = brains()
    alpha, sigma, estimates = combat(y, SITE, age)
    fitted = ComBat.fit(y, SITE, age)
    np.testing.assert_allclose(fitted.alpha, alpha, atol=1e-9)
    np.testing.assert_allclose(fitted.sigma, sigma, atol=1e-9)
    for (site, feature), wanted in estimates.items():
        actual = fitted.gamma[site, feature], fitted.delta[site, feature]
        np.testing.assert_allclose(actual, wanted, atol=1e-4)


def test_sites_are_alike_afterwards_and_unknown_ones_and_constants_stay() -> None:
    y, age = brains()
    y = np.hstack([y, np.full((len(y), 1), 7.0)])
    actual = ComBat.fit(y, SITE, age).transform(y, np.where(SITE == 2, 9, SITE))
    apart, before = (v[SITE == 0].mean(axis=0) - v[SITE == 1].mean(axis=0) for v in (actual, y))
    assert np.abs(apart[:3]).max() < 0.5 * np.abs(before[:3]).max()
    np.testing.assert_array_equal(actual[SITE == 2], y[SITE == 2])
    np.testing.assert_allclose(actual[:, 6], 7.0)


@pytest.mark.bad_input("learning")
def test_a_site_of_one_subject_is_refused() -> None:
    with pytest.raises(InputError, match=r"^ComBat: site must have at least 2 .* got one of 1"):
        ComBat.fit(np.ones((3, 2)), np.array([0, 0, 1]), np.ones(3))
