"""What a file and an image tell, and what of it contradicts the training images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from common.checks import InputError
from common.data import PrepareImaged
from common.deploy.expected import Expected
from common.deploy.file_facts import array_facts, file_facts, image_facts
from tests.synthetic import ramp, write_dicom, write_nifti, write_picture

FILMS = Expected(100, ("DX",), 2, told={"body_part": ("CHEST",)}, ages=(18.0, 80.0))
BRAINS = Expected(100, ("MR",), 3, shape=(5, 6, 7))


def test_the_header_of_a_film_tells_what_it_is_and_not_of_whom(tmp_path: Path) -> None:
    fields = {"BodyPartExamined": "HAND", "PatientAge": "034Y", "PatientName": "Doe^Jane"}
    facts = file_facts(write_dicom(tmp_path / "a.dcm", ramp(), Modality="CR", **fields))
    message = {"modality": "CR", "body_part": "HAND", "age": 34}
    assert facts == {"kind": "dicom", "dims": 2, "colour": False} | message


def test_a_volume_and_a_picture_are_told_by_their_names(tmp_path: Path) -> None:
    voxels = np.ones((4, 5, 6), np.float32)
    facts = file_facts(write_nifti(tmp_path / "a.nii.gz", voxels, np.diag([1.0, 2, 3, 1])))
    assert facts == {"kind": "volume", "dims": 3}
    picture = write_picture(tmp_path / "a.png", ramp(8, 8, 255).astype(np.uint8))
    assert file_facts(picture) == {"kind": "picture", "dims": 2}


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_the_reader_of_a_picture_tells_whether_it_has_colours(tmp_path: Path, ending: str) -> None:
    prepare = PrepareImaged(size=16)
    pixels = np.repeat(ramp(32, 32, 255)[..., None], 3, axis=2).astype(np.uint8)
    grey = write_picture(tmp_path / f"grey.{ending}", pixels)
    pixels[..., 2] //= 2
    colour = write_picture(tmp_path / f"colour.{ending}", pixels)
    assert prepare({"image": str(grey), "facts": {}})["facts"] == {"colour": False}
    assert prepare({"image": str(colour), "facts": {"dims": 2}})["facts"]["colour"]
    assert "facts" not in prepare({"image": str(colour)})


def test_a_damaged_file_tells_nothing_and_is_left_to_its_reader(tmp_path: Path) -> None:
    for name in ("a.dcm", "a.txt"):
        (tmp_path / name).write_bytes(b"no image")
        assert file_facts(tmp_path / name) == {"kind": ""}


@pytest.mark.parametrize(
    ("shape", "dims"),
    [((9, 9), 2), ((1, 9, 9), 2), ((9, 9, 3), 2), ((9, 9, 9), 3), ((1, 9, 9, 9), 3)],
)
def test_an_array_tells_its_dimensions_by_its_shape(shape: tuple[int, ...], dims: int) -> None:
    assert array_facts(np.zeros(shape))["dims"] == dims
    assert array_facts(torch.zeros(shape))["dims"] == dims


def test_an_array_tells_whether_it_has_colours() -> None:
    grey = np.full((9, 9, 3), 200, np.uint8)
    assert not array_facts(grey)["colour"]
    grey[..., 0] = 100
    assert array_facts(grey)["colour"]


@pytest.mark.bad_input("strangers")
@pytest.mark.parametrize(
    ("expected", "facts", "reason"),
    [
        (FILMS, {"modality": "US", "dims": 2}, "must be X-ray films, .* got ultrasound"),
        (FILMS, {"modality": "MR"}, "got MRI by its header"),
        (FILMS, {"dims": 3}, "must be a 2D image"),
        (BRAINS, {"dims": 2}, "must be a volume"),
        (BRAINS, {"modality": "CT"}, "must be MRI"),
    ],
)
def test_another_modality_or_dimension_is_refused(
    expected: Expected, facts: dict[str, Any], reason: str
) -> None:
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(expected.refusal(facts))


def test_what_may_be_right_is_not_refused() -> None:
    for facts in ({"modality": "CR"}, {"modality": "OT"}, {"kind": "picture", "dims": 2}, {}):
        assert FILMS.refusal(facts) == ""
    slices = Expected(100, ("MR",), 2)
    assert slices.refusal({"dims": 3}) == slices.refusal({"modality": "MR"}) == ""
    assert BRAINS.refusal({"modality": "MR", "kind": "dicom"}) == ""


@pytest.mark.bad_input("strangers")
def test_a_volume_of_another_grid_is_refused() -> None:
    assert "5 x 6 x 7 voxels" in BRAINS.shape_refusal((160, 192, 192))
    assert BRAINS.shape_refusal((5, 6, 7)) == FILMS.shape_refusal((9, 9)) == ""


def test_odd_headers_are_warned_of() -> None:
    odd = {"body_part": "HAND", "modality": "OT", "colour": True, "age": 7}
    actual = FILMS.warnings(odd)
    assert len(actual) == 4
    assert "body part HAND" in actual[0]
    assert FILMS.warnings({"body_part": "THORAX", "modality": "DX", "age": 30}) == []


def test_the_facts_of_an_image_worked_out_by_hand() -> None:
    x = np.zeros((1, 4, 4))
    x[0, 1:3, 1:3] = 1.0
    spread = np.sqrt(0.25 * 0.75)
    message = {"mean": 0.25, "contrast": spread, "black": 0.75, "white": 0.25, "mirror": 1.0}
    message |= {"middle": 1 / spread, "detail": (4 / 12) / spread}
    assert image_facts(x) == pytest.approx(message)
    assert image_facts(np.ones((2, 3, 3))) == {"mean": 1, "contrast": 0}
    assert image_facts(np.ones(7)) == {}


def films(count: int) -> np.ndarray:
    """Bright discs, each of its own brightness and noise, on black."""
    generator = np.random.default_rng(0)
    rows = np.linspace(-1, 1, 16)
    disc = (rows[:, None] ** 2 + rows**2 < 0.6) * generator.uniform(0.5, 1, (count, 1, 1))
    return (disc + generator.uniform(0, 0.1, (count, 16, 16)))[:, None]


def test_an_inverted_image_has_a_darker_middle_than_any_of_training() -> None:
    x = films(200)
    expected = Expected.gather([x[:100], x[100:150]], [{"age": 40}] * 30, ("DX",))
    assert (expected.images, expected.modality, expected.ages) == (150, ("DX",), (40, 40))
    assert [expected.warnings({}, image_facts(image)) for image in x[150:]] == [[]] * 50
    assert "the middle darker" in expected.warnings({}, image_facts(1 - x[0]))[0]


def test_standardised_images_are_not_odd_by_their_rounding() -> None:
    x = films(120).astype(np.float32)
    x = (x - x.mean(axis=(1, 2, 3), keepdims=True)) / x.std(axis=(1, 2, 3), keepdims=True)
    expected = Expected.gather([x[:100]], [])
    assert [expected.warnings({}, image_facts(image)) for image in x[100:]].count([]) >= 19


def test_what_the_manifest_says_goes_before_what_the_bundle_says() -> None:
    entries = [{"modality": "CR", "view": "PA"}] * 300 + [{"modality": "CT", "view": "AP"}]
    expected = Expected.gather([films(30)], entries, ("DX",))
    assert (expected.modality, expected.told) == (("CR",), {"view": ("PA",)})
    volumes = Expected.gather([np.zeros((3, 1, 5, 6, 7))], [], ("MR",))
    assert (volumes.dims, volumes.shape, volumes.image) == (3, (5, 6, 7), {})


def test_a_record_is_read_as_it_was_written() -> None:
    expected = Expected.gather([films(30)], [{"age": 40, "view": "PA"}] * 30, ("DX",))
    assert Expected.from_record(expected.record(), "model.json") == expected
    assert Expected.from_record({**expected.record(), "spacing_mm": []}, "earlier") == expected
    assert Expected.from_record(None, "model.json") is None
    with pytest.raises(InputError, match="Evaluate the run again"):
        Expected.from_record({"images": "many"}, "model.json")
