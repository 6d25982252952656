"""Properties of classes by loops, behaviours of known lines, and groups that differ."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import f_oneway

from common.checks import InputError
from common.metrics import class_behaviour, class_properties, group_difference
from common.metrics.class_properties import PROPERTIES, intrinsic_dimension, mean_power
from tests.oracles import class_bias as oracle


def test_the_intrinsic_dimension_is_the_maximum_likelihood_by_loops() -> None:
    rows = np.random.default_rng(0).normal(size=(30, 4))
    expected = oracle.intrinsic_dimension(rows.tolist(), 7)
    assert intrinsic_dimension(rows, 7) == pytest.approx(expected, abs=1e-10)


def test_points_on_a_plane_have_two_dimensions_whatever_space_it_lies_in() -> None:
    rng = np.random.default_rng(0)
    rows = rng.random((800, 2)) @ rng.normal(size=(2, 30))
    assert intrinsic_dimension(rows) == pytest.approx(2, abs=0.2)
    assert np.isnan(intrinsic_dimension(np.ones((40, 3))))


def test_the_power_at_a_frequency_is_that_of_the_fourier_sum() -> None:
    image = np.random.default_rng(0).random((8, 8))
    frequency, power = mean_power(image[None])
    np.testing.assert_allclose(power, oracle.mean_power(image.tolist()), rtol=1e-10)
    assert frequency.tolist() == [1, 2, 3, 4]


def test_white_noise_has_more_high_frequencies_and_dimensions_than_smooth_images() -> None:
    pytest.importorskip("skimage")
    noise = np.random.default_rng(0).random((30, 1, 16, 16))
    smooth = noise.cumsum(axis=2).cumsum(axis=3)
    rough, even = (class_properties(x / x.max()) for x in (noise, smooth))
    assert {name: len(rough[name]) for name in rough} == {
        name: len(numbers) for name, numbers in PROPERTIES.items()
    }
    for name, number in (("Fourier", 0), ("intrinsic dimension", 0), ("texture", 0)):
        assert rough[name][number] > even[name][number]


def test_classes_rise_fall_or_neither() -> None:
    values = np.repeat(np.arange(5.0), 3)
    noise = np.random.default_rng(0).normal(0, 0.01, (15, 3))
    accuracy = np.stack([0.1 * values, -0.1 * values, 0 * values], axis=1) + noise
    found = class_behaviour(values, accuracy)
    assert [each.name for each in found] == ["ascending", "descending", "random"]
    assert found[0].slope == pytest.approx(0.1, abs=0.01)


def test_one_number_is_compared_by_anova_and_several_by_manova() -> None:
    pytest.importorskip("statsmodels")
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b", "c"], 8)
    x = rng.normal(size=(24, 2))
    expected = f_oneway(*(x[group == name, 0] for name in "abc"))
    assert group_difference(x[:, :1], group).f == pytest.approx(expected.statistic)
    apart = x + (group == "b")[:, None] * np.array([4.0, -4.0])
    assert group_difference(apart, group).p_value < 1e-6 < group_difference(x, group).p_value


def test_two_groups_and_two_numbers_are_hotellings_test() -> None:
    pytest.importorskip("statsmodels")
    x = np.random.default_rng(3).normal(size=(12, 2))
    group = np.repeat([0, 1], [5, 7])
    a, b = x[:5], x[5:]
    pooled = ((a - a.mean(0)).T @ (a - a.mean(0)) + (b - b.mean(0)).T @ (b - b.mean(0))) / 10
    apart = a.mean(0) - b.mean(0)
    t2 = 5 * 7 / 12 * apart @ np.linalg.inv(pooled) @ apart
    assert group_difference(x, group).f == pytest.approx(9 / 20 * t2)


def test_a_class_alone_in_its_group_and_too_few_classes_are_told() -> None:
    x = np.arange(6.0)[:, None]
    assert "two groups" in group_difference(x, np.array(list("aaaaab"))).reason
    assert "fewer classes" in group_difference(np.eye(4), np.array(list("aabb"))).reason


@pytest.mark.bad_input("metrics")
@pytest.mark.parametrize("shape", [(5, 1, 16, 16), (30, 16, 16), (30, 1, 4, 16)])
def test_images_without_the_properties_are_refused(shape: Any) -> None:
    with pytest.raises(InputError, match=r"^class_properties: images must be \(N > 20"):
        class_properties(np.zeros(shape))


@pytest.mark.bad_input("metrics")
def test_runs_at_one_value_have_no_slope() -> None:
    with pytest.raises(InputError, match=r"^class_behaviour: values must be"):
        class_behaviour(np.ones(4), np.ones((4, 2)))
