"""``python -m common predict`` and ``embed``, and what they write beside the tables."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import common
from common.__main__ import main
from common.checks import InputError
from common.deploy.sinks import DicomReports
from tests.models import SLICES, deployed
from tests.synthetic import ramp, write_dicom, write_picture

STUDY = {"PatientID": "4711", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(deployed(tmp_path_factory.mktemp("models")))


@pytest.fixture
def words(model: str, tmp_path: Path) -> list[str]:
    """A film and a picture to predict on, and where to."""
    write_dicom(tmp_path / "in" / "film.dcm", ramp(30, 30), PatientName="Doe^Jane", **STUDY)
    write_picture(tmp_path / "in" / "a.png", ramp(30, 30))
    return [SLICES, str(tmp_path / "in"), "--weights", model, "--output", str(tmp_path / "out")]


def test_predict_says_what_it_wrote_and_of_few_images_what_it_found(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", *words]) == 0
    *few, last = capsys.readouterr().out.splitlines()
    assert last == f"{tmp_path / 'out'}: 2 images predicted"
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == ["a.png", "film.dcm"]
    values = [f"{name} {rows[0][name]}" for name in list(rows[0])[2:] if rows[0][name]]
    assert few[0] == ", ".join(["a.png", *values])


def test_a_file_that_is_left_out_shows_in_the_exit_code(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "b.png").write_bytes(b"broken")
    assert main(["predict", *words]) == 3
    *_, told, reason = capsys.readouterr().out.splitlines()
    assert told.endswith("skipped.csv: 1 left out, with the reason")
    assert reason.startswith("b.png: must")


@pytest.mark.bad_input("files")
@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (["a.png"], r"a\.png: must"),
        (["a.png", "film.dcm"], r"none of the 2 files could be read\. The first: a\.png: must"),
    ],
    ids=["one", "several"],
)
def test_where_nothing_can_be_read_the_error_says_why(
    words: list[str], tmp_path: Path, broken: list[str], message: str
) -> None:
    for name in broken:
        (tmp_path / "in" / name).write_bytes(b"broken")
    words[1:2] = [str(tmp_path / "in" / name) for name in broken]
    with pytest.raises(InputError, match=message):
        main(["predict", *words])


def test_a_file_that_several_paths_lead_to_is_predicted_once_and_a_replacement_told(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["predict", *words])
    capsys.readouterr()
    main(["predict", words[0], str(tmp_path / "in" / "a.png"), *words[1:]])
    printed = capsys.readouterr().out
    assert f"{tmp_path / 'out'}: what an earlier command had written there was replaced" in printed
    assert f"{tmp_path / 'out'}: 2 images predicted" in printed


def test_embed_writes_embeddings_alone(words: list[str], tmp_path: Path) -> None:
    assert main(["embed", *words]) == 0
    with np.load(tmp_path / "out" / "embeddings.npz") as embeddings:
        assert embeddings["h"].shape == (2, 4)
    assert not list((tmp_path / "out").glob("*.csv"))


def test_a_json_lies_beside_each_file(words: list[str], tmp_path: Path) -> None:
    assert main(["predict", *words, "--json"]) == 0
    written = json.loads((tmp_path / "in" / "film.dcm.prediction.json").read_text())
    assert written["model"]["bundle"] == SLICES
    (said,) = written["predictions"]
    assert 0 < said["values"]["probability_lesion"] < 1
    assert "Doe" not in json.dumps(written)
    assert (tmp_path / "in" / "a.png.prediction.json").is_file()


def test_a_dicom_report_refers_to_its_film_and_holds_the_value(
    words: list[str], tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    assert main(["predict", *words, "--sr"]) == 0
    film = pydicom.dcmread(tmp_path / "in" / "film.dcm")
    (path,) = (tmp_path / "out" / "sr").iterdir()
    report = pydicom.dcmread(path)
    assert report.StudyInstanceUID == film.StudyInstanceUID
    assert report.PatientName == "Doe^Jane"
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    (item,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
    assert item.ReferencedSOPInstanceUID == film.SOPInstanceUID
    with (tmp_path / "out" / "predictions.csv").open(newline="") as file:
        value = [row["probability_lesion"] for row in csv.DictReader(file)][1]
    (said,) = (d for d in report.iterall() if d.keyword == "NumericValue")
    assert float(said.value) == pytest.approx(float(value), abs=1e-6)
    assert "Probability of lesion" in report.to_json()


@pytest.mark.bad_input("files")
def test_of_two_files_with_one_uid_the_second_has_no_report_and_says_so(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    uid = pydicom.dcmread(tmp_path / "in" / "film.dcm").SOPInstanceUID
    write_dicom(tmp_path / "in" / "other.dcm", ramp(20, 30), SOPInstanceUID=uid, **STUDY)
    assert main(["predict", *words, "--sr"]) == 3
    assert len(list((tmp_path / "out" / "sr").iterdir())) == 1
    told = capsys.readouterr().out
    assert "3 images predicted" in told
    assert "skipped.csv: 1 file predicted, but without a report or JSON" in told
    assert "left out" not in told
    assert "other.dcm: must have a SOPInstanceUID of its own for a report" in told


def test_a_calibrated_report_is_another_than_that_without(model: str, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    write_dicom(tmp_path / "film.dcm", ramp(30, 30), **STUDY)
    predictor = common.load(SLICES, model)
    reports = DicomReports(predictor.model, tmp_path / "sr")
    (one,) = predictor.predict(tmp_path / "film.dcm")
    calibrated = replace(one, columns={"calibration": "calibrated on 10 reference scans"})
    for prediction in (one, one, calibrated):
        reports.write([prediction])
    assert len(list((tmp_path / "sr").iterdir())) == 2


@pytest.mark.bad_input("privacy")
def test_nothing_but_the_report_tells_the_patient(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    write_dicom(tmp_path / "in" / "odd.dcm", ramp(30, 30), PatientName="Smith", **STUDY)
    main(["predict", *words, "--json", "--sr", "--embeddings", "npz"])
    message = "".join(capfd.readouterr())
    paths = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".dcm"]
    held = b"".join(path.read_bytes() for path in paths)
    for name in ("Smith", "Doe", "4711"):
        assert name not in message + "".join(str(path) for path in tmp_path.rglob("*"))
        assert name.encode() not in held


@pytest.mark.bad_input("dials")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["bogus"], "the command must be .*, got 'bogus'"),
        (["predict"], "the following arguments are required: bundle, paths, --output"),
        (["predict", "--batch-size", "0"], "--batch-size must be at least 1, got 0"),
        (["predict", "--nucleus", "5"], "looks for no nuclei. Leave it out"),
        (["embed", "--device", "tpu"], "device: must be a device of this machine, .* got 'tpu'"),
        (["predict", "--output", ""], "--output: must be a folder, got an empty name"),
        (["embed", "--workers", "-1"], "--workers must be at least 0, got -1"),
    ],
)
def test_a_wrong_command_is_one_line(words: list[str], given: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        main([given[0], *words, *given[1:]] if len(given) > 1 else given)
