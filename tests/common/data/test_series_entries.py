"""DICOM slices to predict on become the series of a patient."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import common.data.brain_t1
from common.data import ImageFiles, LoadStoredd
from common.data.brain_t1 import BrainPreparation
from common.data.series_entries import series_entries
from tests.synthetic import ramp, write_dicom, write_nifti

T1: dict[str, Any] = {"EchoTime": "3", "SeriesDescription": "t1 mprage"}
T2: dict[str, Any] = {"EchoTime": "90", "SeriesDescription": "t2"}


def series(folder: Path, uid: str, patient: str, **fields: Any) -> None:
    """Sixteen slices of a head."""
    for number in range(16):
        place = {"ImagePositionPatient": ["0", "0", str(number)], "InstanceNumber": str(number + 1)}
        place |= {"ImageOrientationPatient": list("100010"), "PixelSpacing": ["1", "1"]}
        known = {"Modality": "MR", "SeriesInstanceUID": uid, "PatientID": patient}
        write_dicom(folder / f"{uid}_{number:02d}.dcm", ramp(8, 8), **known, **place, **fields)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    series(tmp_path / "a" / "s1", "1.1", "ann", **T2)
    series(tmp_path / "a" / "s2", "1.2", "ann", **T1)
    series(tmp_path / "b", "2.1", "bob", **T2)
    write_nifti(tmp_path / "c.nii", ramp(8, 8)[..., None] * np.ones(8, np.int16))
    return tmp_path


def test_a_series_is_one_volume_and_the_t1_of_a_patient_is_read(study: Path) -> None:
    entries = ImageFiles(study, dict, spatial_dims=3).entries
    found = {e["name"]: e.get("reason", "") for e in entries}
    assert set(found) == {"c.nii", "a/s1/1.1_00.dcm", "a/s2", "b/2.1_00.dcm"}
    assert found["a/s2"] == found["c.nii"] == ""
    assert "another series of the patient is" in found["a/s1/1.1_00.dcm"]
    assert "no series of the patient is" in found["b/2.1_00.dcm"]
    (chosen,) = (e for e in entries if e["name"] == "a/s2")
    assert len(chosen["image"]) == 16


def test_in_2d_every_slice_is_an_image(study: Path) -> None:
    assert len(ImageFiles(study, dict).entries) == 3 * 16 + 1


@pytest.mark.bad_input("files")
def test_an_entry_that_is_left_out_already_is_no_slice(tmp_path: Path) -> None:
    path = str(write_dicom(tmp_path / "a.dcm", ramp()))
    entries = [{"image": path, "name": "a", "reason": "no"}, {"image": "/none.dcm", "name": "b"}]
    assert series_entries(entries) == entries


def test_a_raw_head_is_prepared_as_the_training_images_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Prepared:
        image, flags = np.ones((3, 4, 4, 4), np.float32), ("overlap 0.80",)

    given = []
    monkeypatch.setattr(
        common.data.brain_t1, "prepare_brain", lambda *told: given.append(told) or Prepared
    )
    choices = BrainPreparation(map="tissue", spacing_mm=3.0)
    load = LoadStoredd("image", preparation=choices.record()["preparation"])
    loaded = load({"image": ["1.dcm", "2.dcm"], "name": "head"})
    assert loaded["image"].shape == (3, 4, 4, 4)
    assert loaded["flags"] == ["overlap 0.80"]
    assert given == [(["1.dcm", "2.dcm"], choices)]
    np.save(tmp_path / "done.npy", np.zeros((3, 4, 4, 4), np.float32))
    assert load({"image": str(tmp_path / "done.npy")})["flags"] == []


@pytest.mark.bad_input("files")
def test_a_series_is_refused_by_a_model_of_volumes_that_were_prepared_elsewhere(
    study: Path,
) -> None:
    files = ImageFiles(study / "a" / "s2", LoadStoredd("image"), spatial_dims=3)
    ((entry,),) = files
    assert "must be a volume, prepared as the training images were, got a DICOM" in entry["reason"]
