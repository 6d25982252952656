"""The encoder that is given represents the images; one that cannot ends in a line."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from common.audit import audit
from common.audit.features import Encoder, given_encoder, one_kind, untrained_encoder
from common.audit.images import from_arrays
from common.audit.reading import read_images
from common.checks import InputError
from common.deploy import load
from common.transforms import Composition

FILMS = "chest_xray_learned_transforms"  # comes with weights, of 96 pixels
BLUR = Composition(["blur"])


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(0, 255, (6, 6), np.uint8))
        coarse.resize((96, 96)).save(folder / f"{number}.png")
    return folder


@pytest.mark.slow
def test_a_given_encoder_represents_as_the_predictor_does(films: Path) -> None:
    encoder = given_encoder(FILMS)
    read = read_images(films, size=96)
    expected = load(FILMS).embed([str(path) for path in sorted(films.iterdir())]).h
    assert (encoder.name, encoder.reads) == (FILMS, (1, 2))
    np.testing.assert_allclose(one_kind(read.x, "encoder", encoder), expected, rtol=0.02, atol=0.02)


def test_images_of_two_pixels_are_represented_too() -> None:
    h = one_kind(torch.rand(3, 1, 2, 2), "encoder", untrained_encoder(2, 1))
    assert (h.shape, bool(np.isfinite(h).all())) == ((3, 128), True)


def grey(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (12, *shape), np.uint8)


def test_the_given_encoder_makes_the_difficulty_and_is_named() -> None:
    first = Encoder("first pixel", lambda x: x.flatten(1)[:, :1], (1, 2))
    still = Composition(["crop_resize"], settings={"crop_resize": {"size": 1.0}})
    found = audit(from_arrays(grey(1, 8, 8), {"label": np.arange(12) % 2}), [still], encoder=first)
    assert found.measurement.encoder == "first pixel"
    assert found.sets[0].difficulty.positive_mean == pytest.approx(0, abs=1e-6)
    assert found.sets[0].difficulty.untransformed_mean > 0.5  # of 1 and -1: 0 or 2


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(
    ("shape", "reads", "line"),
    [
        ((1, 8, 8), (1, 3), "of 1 channel in 2D, got one for 1 channel in 3D"),
        ((3, 8, 8), (1, 2), "of 3 channels in 2D, got one for 1 channel in 2D"),
    ],
)
def test_an_encoder_of_other_images_ends_in_a_line(
    shape: tuple[int, ...], reads: tuple[int, int], line: str
) -> None:
    other = Encoder("theirs", lambda x: x.flatten(1), reads)
    with pytest.raises(InputError, match=f"^theirs: its encoder must read the images, {line}"):
        audit(from_arrays(grey(*shape)), [BLUR], encoder=other)


@pytest.mark.bad_input("audit")
@pytest.mark.parametrize(
    ("encoder", "line"),
    [
        ("fundus_photo_dino", "must be a model, got no such file"),
        ("nothing", "must be the folder of a bundle, or one of"),
    ],
)
def test_a_bundle_without_a_model_ends_in_a_line_before_images_are_read(
    encoder: str, line: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=f"^--encoder {encoder}: .*{line}.*leave --encoder out.$"):
        audit(tmp_path / "nowhere", [BLUR], encoder=encoder)
