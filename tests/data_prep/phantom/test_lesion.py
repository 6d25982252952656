"""The lesion is small, inside its region and shifts no mean."""

import numpy as np
import pytest

from common.checks import InputError
from data_prep.phantom.lesion import insert_lesion

SHAPES = [(64, 64), (32, 32, 32)]


def scene(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    image = np.random.default_rng(1).uniform(0.3, 0.7, shape).astype(np.float32)
    region = np.zeros(shape, bool)
    region[(slice(8, -8),) * len(shape)] = True
    return image, region


@pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])
@pytest.mark.parametrize("seed", range(5))
def test_only_pixels_at_the_mask_change(shape: tuple[int, ...], seed: int) -> None:
    image, region = scene(shape)
    result, mask = insert_lesion(image, region, np.random.default_rng(seed), 4.0, 0.1)
    changed = result != image
    assert mask.any()
    assert not (mask & ~region).any()
    assert changed[mask].mean() > 0.95
    assert changed.sum() < 3 * mask.sum(), "a soft rim of one pixel and no more"


@pytest.mark.parametrize("shape", SHAPES, ids=["2D", "3D"])
def test_size_follows_the_radius(shape: tuple[int, ...]) -> None:
    image, region = scene(shape)
    small, large = (
        insert_lesion(image, region, np.random.default_rng(0), radius, 0.1)[1].sum()
        for radius in (2.0, 5.0)
    )
    disc = np.pi * 25 if len(shape) == 2 else 4 / 3 * np.pi * 125
    assert 0.4 * disc < large < 2.0 * disc
    assert small < large / 2


def test_mean_stays_and_the_pattern_has_the_contrast() -> None:
    image, region = scene((64, 64))
    image[:] = 0.5
    for seed in range(10):
        result, mask = insert_lesion(image, region, np.random.default_rng(seed), 5.0, 0.1)
        assert abs(result.mean() - 0.5) < 1e-4
        assert 0.06 < (result - image)[mask].std() < 0.13


def test_same_seed_gives_the_same_lesion_and_the_input_stays() -> None:
    image, region = scene((64, 64))
    before = image.copy()
    first, second = (
        insert_lesion(image, region, np.random.default_rng(7), 4.0, 0.2)[0] for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(image, before)
    assert first.min() >= 0
    assert first.max() <= 1


def test_region_thinner_than_the_lesion_still_holds_it() -> None:
    image, region = scene((64, 64))
    region[:] = False
    region[30:32] = True
    _, mask = insert_lesion(image, region, np.random.default_rng(0), 6.0, 0.1)
    assert mask.any()
    assert not (mask & ~region).any()


def test_empty_region_is_refused() -> None:
    with pytest.raises(InputError, match="at least one pixel"):
        insert_lesion(
            np.zeros((8, 8), np.float32), np.zeros((8, 8), bool), np.random.default_rng(0), 1, 0.1
        )
