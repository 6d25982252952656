"""A head becomes a brain on the template's grid: what is right, what flagged, what refused."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from scipy.ndimage import affine_transform

from common.checks import InputError
from common.data.brain_t1 import (
    BrainPreparation,
    choose_t1,
    prepare_brain,
    prepare_head,
    read_head,
    series_of,
)
from common.data.brain_t1.extract import looks_stripped
from common.data.brain_t1.head import Head
from common.data.brain_t1.template import template
from common.data.brain_t1.tissue import mixture
from tests.synthetic import write_series

COARSE = BrainPreparation("tissue", 3.0, stripped=True)


def tilted(degrees: float = 0.0, zoom: float = 1.0) -> Head:
    """The template itself, turned about the axis from ear to ear in a box of its own."""
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = np.diag([3.0, 3.0, 3.0, 1.0])
    affine[:3, 3] = -105.0
    onto = np.linalg.inv(template(3.0).grid.affine) @ turn @ affine
    voxels = affine_transform(template(3.0).t1, onto, output_shape=(70, 70, 70), order=1)
    return Head(voxels.astype(np.float32), np.diag([zoom, zoom, zoom, 1.0]) @ affine)


def saved(path: Path, head: Head, voxels: Any = None) -> Path:
    values = head.voxels if voxels is None else voxels
    nibabel.save(nibabel.Nifti1Image(values, head.affine), path)
    return path


def test_a_head_tilted_by_20_degrees_and_a_tenth_smaller_lies_on_the_template() -> None:
    brain = prepare_head(tilted(20, zoom=0.9), COARSE, "head")
    assert brain.quality["overlap"] > 0.97
    assert brain.quality["correlation"] > 0.95
    assert brain.flags == ()
    assert np.corrcoef(brain.image[1].ravel(), template(3.0).tissues[1].ravel())[0, 1] > 0.8


def test_brightness_of_any_scale_gives_the_same_tissues_which_sum_to_one() -> None:
    target = template(3.0)
    noise = np.random.default_rng(0).normal(0, 0.02, target.t1.shape)
    levels = np.array([0.6, 0.9, 0.2])[target.tissues.argmax(axis=0)] + noise
    actual = mixture((levels * 1000).astype(np.float32), target.brain, target)
    assert np.allclose(actual.tissues.sum(axis=0), target.brain, atol=1e-5)
    assert np.allclose(
        np.array(actual.means) / actual.means[1], [0.6 / 0.9, 1, 0.2 / 0.9], atol=0.05
    )
    same = mixture((levels * 7).astype(np.float32), target.brain, target)
    assert np.allclose(same.tissues, actual.tissues, atol=1e-3)


def test_an_intensity_map_has_the_white_matter_at_eight_tenths() -> None:
    made = prepare_head(tilted(), BrainPreparation("intensity", 3.0, stripped=True), "head")
    white = template(3.0).tissues[1] > 0.95
    assert made.image.shape == (1, 52, 64, 56)
    assert abs(float(np.median(made.image[0][white])) - 0.8) < 0.05


def test_grey_and_white_matter_are_the_first_two_tissues() -> None:
    both = prepare_head(tilted(), BrainPreparation("grey_white", 3.0, stripped=True), "head").image
    assert np.array_equal(both, prepare_head(tilted(), COARSE, "head").image[:2])


def test_a_preparation_reads_its_record_back() -> None:
    chosen = BrainPreparation("intensity", 2.0)
    assert BrainPreparation.from_record(chosen.record()) == chosen
    assert BrainPreparation.from_record(chosen.record()["preparation"]) == chosen
    assert "SimpleITK" in chosen.record()["preparation"]["versions"]


def test_a_brain_shows_by_itself_that_it_is_stripped_whatever_the_model_was_trained_on() -> None:
    trained = BrainPreparation("tissue", 3.0, stripped=True).record()
    assert BrainPreparation.from_record(trained).stripped is None
    head = tilted()
    assert looks_stripped(head.voxels, 0.027)
    assert not looks_stripped(head.voxels, 0.027 * 2)
    assert not looks_stripped(head.voxels + 0.001, 0.027)
    dim = head.voxels.copy()
    about = np.flatnonzero(dim == 0)
    dim.flat[about[: len(about) // 25]] = 1e-6  # a wide mask leaves a dim rim
    assert looks_stripped(dim, 0.027)


def test_a_dicom_series_in_any_order_is_the_volume_of_its_nifti_file(tmp_path: Path) -> None:
    head = tilted()
    head = Head(np.rint(head.voxels * 900).astype(np.float32), head.affine)
    files = write_series(tmp_path / "series", head.voxels, head.affine)
    read = read_head(files[::-1])
    assert np.array_equal(read.voxels, head.voxels)
    assert np.allclose(read.affine, head.affine, atol=1e-3)
    oblique = read_head(saved(tmp_path / "head.nii.gz", head))
    assert np.array_equal(oblique.voxels, read.voxels)


def test_of_a_patients_series_the_t1_weighted_one_is_chosen_by_its_header(tmp_path: Path) -> None:
    voxels, affine = tilted().voxels[::3, ::3] * 900, np.diag([9.0, 9.0, 3.0, 1.0])
    kinds = {"t2_tse_tra": 90.0, "t1_mprage_sag": 2.5, "localizer": 5.0, "ep2d_diff": 70.0}
    for number, (words, echo) in enumerate(kinds.items()):
        folder = tmp_path / f"{number}"
        write_series(folder, voxels, affine, SeriesDescription=words, EchoTime=echo)
    actual, skipped = series_of(tmp_path.rglob("*.dcm"))
    chosen = choose_t1(actual)
    assert (len(actual), skipped) == (4, [])
    assert chosen is not None
    assert chosen.files[0].parent.name == "1"


@pytest.mark.bad_input("volume")
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: np.stack([v, v], axis=-1), "must be one 3D volume"),
        (lambda v: np.where(v > 0.5, np.nan, v), "voxels must be finite"),
        (lambda v: v[:, :, 30:32], "must be a volume of a whole head"),
        (lambda v: v + 1, "must be a brain on a black background"),
    ],
    ids=["4D", "NaN", "two slices", "not stripped"],
)
def test_what_is_no_stripped_brain_is_refused_in_one_line(
    tmp_path: Path, change: Any, told: str
) -> None:
    head = tilted()
    path = saved(tmp_path / "head.nii", head, change(head.voxels).astype(np.float32))
    with pytest.raises(InputError, match=told) as caught:
        prepare_brain(path, COARSE)
    assert "\n" not in str(caught.value)


@pytest.mark.bad_input("dicom")
def test_a_series_with_a_gap_or_with_two_volumes_is_refused(tmp_path: Path) -> None:
    voxels, affine = tilted().voxels[::3, ::3] * 900, np.diag([9.0, 9.0, 3.0, 1.0])
    files = write_series(tmp_path / "a", voxels, affine)
    with pytest.raises(InputError, match="slices are missing"):
        read_head(files[:20] + files[22:])
    with pytest.raises(InputError, match="several slices at one place"):
        read_head([*files, *write_series(tmp_path / "b", voxels, affine)])


@pytest.mark.bad_input("volume")
def test_a_brain_upside_down_by_its_header_is_flagged() -> None:
    head = tilted()
    brain = prepare_head(Head(head.voxels[:, ::-1, ::-1], head.affine), COARSE, "head")
    assert any("orientation" in reason for reason in brain.flags)


@pytest.mark.bad_input("volume")
def test_noise_shows_no_head(tmp_path: Path) -> None:
    pytest.importorskip("deepbet")
    noise = np.random.default_rng(0).random((70, 70, 70), np.float32)
    path = saved(tmp_path / "noise.nii", tilted(), noise)
    try:
        reasons = prepare_brain(path, BrainPreparation("tissue", 3.0)).flags
    except InputError as error:
        reasons = (str(error),)
    assert reasons != ()


@pytest.mark.slow
def test_a_raw_head_lies_on_the_template(shared_data: Path) -> None:
    pytest.importorskip("deepbet")
    source = shared_data / "t1_heads" / "sub-01_T1w.nii.gz"
    brain = prepare_brain(source, BrainPreparation("tissue", 3.0))
    assert brain.quality["overlap"] >= 0.95
    assert brain.flags == ()
