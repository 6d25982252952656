"""The features that answer are chosen on images and on views apart, and the interval knows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from common.audit.images import from_arrays
from common.audit.information import ask, label_information, shortcut
from common.audit.targets import coded
from common.audit.telling import Target, above_chance, best_estimate
from common.report.audit.findings import Estimate

CODE = np.arange(80) % 2
NOISE = np.random.default_rng(0).standard_normal((80, 3)).astype(np.float32)
TELLING = (NOISE / 5 + CODE[:, None]).astype(np.float32)


def target() -> Target:
    rows, code, values = coded(CODE)
    made = Target.of("site", rows, code, values, np.arange(80).astype(np.str_))
    assert made is not None
    return made


def told(**features: NDArray[np.float32]) -> dict[str, list[NDArray[np.float32]]]:
    return {kind: [values] for kind, values in features.items()}


def test_a_shortcut_is_told_by_the_features_that_are_best_on_views() -> None:
    plain = ask(told(pixels=TELLING, intensities=NOISE), target())
    views = ask(told(pixels=NOISE, intensities=TELLING), target())
    found = shortcut(target(), plain, views)
    assert (found.features, found.features_of_views) == ("pixels", "intensities")
    assert found.transformed.value == 1
    assert found.remains


def test_what_other_features_tell_from_views_counts_as_kept() -> None:
    plain = ask(told(pixels=TELLING, intensities=NOISE), target())
    views = ask(told(pixels=NOISE, intensities=TELLING), target())
    images = from_arrays(np.zeros((80, 1, 4, 4), np.float32), {"label": CODE}, None)
    assert label_information(target(), plain, views, images).kept.value == 1


def test_the_interval_of_the_best_of_two_is_each_at_97_5_per_cent() -> None:
    draws = np.linspace(0, 1, 500)
    found = best_estimate([np.r_[0.5, draws], np.r_[0.6, draws / 2 + 0.2]])
    assert found.value == 0.6
    assert found.low == pytest.approx(0.2 + 0.0125 / 2)
    assert found.high == pytest.approx(0.9875)


def test_clearly_told_keeps_half_of_its_distance_to_chance_at_the_lower_end() -> None:
    assert above_chance(Estimate(0.7, 0.6, 0.8), 0.5, margin=0.5)
    assert not above_chance(Estimate(0.7, 0.59, 0.8), 0.5, margin=0.5)
    assert not above_chance(Estimate(0.7, 0.5, 0.8), 0.5)
