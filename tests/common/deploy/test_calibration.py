"""Reference scans of one's own scanner: offset, slope, intervals, and what is no reference."""

import numpy as np
import pytest
from scipy.special import expit

from common.checks import InputError
from common.deploy.calibration import AgeCalibration
from common.deploy.score_calibration import ScoreCalibration, TemperatureCalibration

AGES = np.arange(20.0, 80.0, 5.0)  # 12


def healthy(
    seed: int, count: int = 12, offset: float = 0.0, slope: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    age = generator.uniform(20, 80, count)
    return 50 + offset + slope * (age - 50) + generator.normal(0, 5, count), age


def test_an_offset_is_the_mean_gap_with_its_t_interval() -> None:
    gaps = np.tile([7.0, 9.0], 6)  # mean 8, standard deviation sqrt(12 / 11), t(11) = 2.20099
    actual = AgeCalibration.fit(AGES + gaps, AGES)
    assert actual.offset == pytest.approx(8)
    assert not actual.leans
    half = 2.20099 * np.sqrt(12 / 11) / np.sqrt(12)
    assert actual.offset_interval == pytest.approx((8 - half, 8 + half), abs=1e-4)
    assert actual.age(AGES + 8) == pytest.approx(AGES)
    assert actual.gap(AGES + 8, AGES) == pytest.approx(np.zeros(12))
    assert actual.reach == pytest.approx(2.20099 * np.sqrt(12 / 11) * np.sqrt(13 / 12), abs=1e-4)


def test_gaps_allow_for_a_slope_only_where_its_interval_excludes_one() -> None:
    assert not AgeCalibration.fit(*healthy(0)).leans
    flat = AgeCalibration.fit(*healthy(0, 200, 6, 0.5))
    assert flat.leans
    assert flat.slope == pytest.approx(0.5, abs=0.1)
    old = np.array([70.0])
    assert flat.gap(50 + 6 + 0.5 * (old - 50), old) == pytest.approx(0, abs=2)
    assert "which the gaps allow for" in flat.summary


def test_the_interval_of_the_offset_covers_it_in_nineteen_of_twenty() -> None:
    actual = [AgeCalibration.fit(*healthy(seed, 12, 8)).offset_interval for seed in range(400)]
    assert np.mean([low <= 8 <= high for low, high in actual]) == pytest.approx(0.95, abs=0.04)


def test_ten_scans_take_away_most_of_an_offset_of_fifteen_years() -> None:
    errors = []
    for seed in range(50):
        calibration = AgeCalibration.fit(*healthy(seed, 10, 15))
        predicted, age = healthy(1000 + seed, 50, 15)
        errors.append(
            [np.abs(predicted - age).mean(), np.abs(calibration.age(predicted) - age).mean()]
        )
    before, after = np.mean(errors, axis=0)
    assert before > 14
    assert after < 4.6  # noise alone: 5 sqrt(2 / pi) = 4.0


def test_probabilities_that_are_two_too_high_in_log_odds_are_shifted_back() -> None:
    generator = np.random.default_rng(0)
    z = generator.normal(0, 2, 1500)
    label = (generator.uniform(size=1500) < expit(z)).astype(int)
    actual = ScoreCalibration.fit(expit(z + 2), label)
    assert (actual.offset, actual.slope) == (pytest.approx(-2, abs=0.25), 1)
    assert actual.offset_interval[0] < -2 < actual.offset_interval[1]
    assert actual.probability(expit(np.array([2.0]))) == pytest.approx([0.5], abs=0.06)


def test_separable_scans_have_an_answer_and_keep_their_order() -> None:
    actual = ScoreCalibration.fit([0.01] * 6 + [0.2, 0.9, 0.99, 0.999], [0] * 6 + [1] * 4)
    calibrated = actual.probability(np.array([0.01, 0.2, 0.9]))
    assert np.all(np.diff(calibrated) > 0)
    assert 0 < calibrated[0] < 0.5 < calibrated[2] < 1


def test_the_temperature_of_logits_that_were_tripled_is_three() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (1000, 3))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label = [int(generator.choice(3, p=row)) for row in p]
    sure = np.exp(3 * logits) / np.exp(3 * logits).sum(axis=1, keepdims=True)
    actual = TemperatureCalibration.fit(sure, label)
    assert actual.temperature == pytest.approx(3, abs=0.3)
    assert actual.probability(sure) == pytest.approx(p, abs=0.05)


@pytest.mark.bad_input("reference")
def test_reference_scans_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="must not fall with the known ages"):
        AgeCalibration.fit(100 - AGES, AGES)
    with pytest.raises(InputError, match="different ages"):
        AgeCalibration.fit(AGES, [40.0] * 12)
    with pytest.raises(InputError, match="of each class, got 2"):
        ScoreCalibration.fit([0.5] * 12, [0] * 10 + [1] * 2)
    with pytest.raises(InputError, match="must differ"):
        ScoreCalibration.fit([0.5] * 12, [0, 1] * 6)
    with pytest.raises(InputError, match="more than one class"):
        TemperatureCalibration.fit(np.full((12, 3), 1 / 3), [1] * 12)
