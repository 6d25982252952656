"""The reference of training embeddings: percentiles, strangers, and what goes with the model."""

import json

import numpy as np
import pytest
from sklearn.decomposition import PCA

from common.checks import InputError
from common.deploy.familiarity import Familiarity, familiarity_warning

WIDTH = 24


def embeddings(count: int, seed: int, scale: float = 1.0) -> np.ndarray:
    """Non-negative, in a few directions, as an encoder of one kind of image gives them."""
    mixing = np.random.default_rng(0).normal(size=(5, WIDTH))
    generator = np.random.default_rng(seed)
    rooted = 4 + generator.normal(size=(count, 5)) @ mixing * 0.3
    return scale * (rooted + 0.1 * generator.normal(size=(count, WIDTH))) ** 2


def fitted(held_out: int = 300) -> Familiarity:
    actual = Familiarity.fit(embeddings(600, 1), embeddings(held_out, 2))
    assert actual is not None
    return actual


def test_the_distance_is_that_of_a_probabilistic_pca() -> None:
    h, actual = embeddings(600, 1), fitted()
    pca = PCA(len(actual.variance), svd_solver="full").fit(np.sqrt(h))
    centred = np.sqrt(embeddings(7, 5, 1.1)) - pca.mean_
    message = np.sqrt(np.einsum("ni,ij,nj->n", centred, pca.get_precision(), centred))
    assert actual.distance(embeddings(7, 5, 1.1)) == pytest.approx(message, rel=0.01)


def test_images_of_the_same_kind_are_familiar_evenly_from_0_to_100() -> None:
    percent = fitted().percent(embeddings(4000, 3))
    assert np.quantile(percent, [0.25, 0.5, 0.75]) == pytest.approx([25, 50, 75], abs=6)
    assert np.mean(percent < 1) == pytest.approx(0.01, abs=0.01)


def test_strangers_are_warned_of() -> None:
    generator = np.random.default_rng(0)
    for strange in (generator.uniform(0, 30, (50, WIDTH)), embeddings(50, 4, 3.0)):
        assert np.all(fitted().percent(strange) < 0.01)
    assert "below 0.01 %" in familiarity_warning(1e-9)
    assert familiarity_warning(1.0) == ""


def test_training_images_left_out_in_turn_stand_in_for_held_out_ones() -> None:
    few = Familiarity.fit(embeddings(100, 1), embeddings(5, 2))
    assert few is not None
    assert (few.held_out, few.images, few.directions.shape) == (0, 100, (10, WIDTH))
    assert np.mean(few.percent(embeddings(2000, 3)) < 1) < 0.03


def test_few_held_out_images_do_not_make_false_alarms() -> None:
    shares = []
    for seed in range(20):
        actual = Familiarity.fit(embeddings(300, 1), embeddings(20, 100 + seed))
        assert actual is not None
        shares.append(np.mean(actual.percent(embeddings(500, 3)) < 1))
    assert np.mean(shares) == pytest.approx(0.01, abs=0.01)


def test_what_is_written_is_read_and_is_small() -> None:
    actual = fitted()
    text = json.dumps(actual.record())
    again = Familiarity.from_record(json.loads(text), "model.json")
    assert again is not None
    h = embeddings(50, 3)
    assert again.percent(h) == pytest.approx(actual.percent(h), rel=1e-6)
    wide = np.random.default_rng(0).normal(size=(700, 1024))
    large = Familiarity.fit(wide, wide[:20])
    assert large is not None
    assert len(json.dumps(large.record())) < 200_000


def test_too_few_or_collapsed_embeddings_give_no_reference() -> None:
    assert Familiarity.fit(embeddings(19, 1)) is None
    assert Familiarity.fit(np.ones((100, WIDTH))) is None
    assert Familiarity.from_record(None, "model.json") is None


@pytest.mark.bad_input("models")
@pytest.mark.parametrize(
    "change", [{"mean": "no"}, {"variance": ""}, {"rest": -1.0}, {"features": 7}, {"level": "x"}]
)
def test_a_reference_that_was_changed_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="Evaluate the run again"):
        Familiarity.from_record({**fitted().record(), **change}, "model.json")


@pytest.mark.bad_input("models")
def test_embeddings_of_another_network_are_refused() -> None:
    with pytest.raises(InputError, match="24 features"):
        fitted().percent(np.ones((3, 7)))
